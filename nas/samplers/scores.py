"""Scores that make the trials of a study comparable, pruned trials included."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtri
from scipy.stats import qmc, rankdata

from nas.record import TrialRecord

__all__ = [
    "Gains",
    "extrapolate_pruned",
    "fitness",
    "gaussian_ranks",
    "intermediate_scores",
    "robust_scores",
    "scalarize",
    "violates_constraints",
    "weight_vectors",
]


def fitness(trial: FrozenTrial, study: Study) -> tuple[float, ...] | None:
    """Return the last step of a trial (infinity if complete) and its objectives there, larger is better.

    Return None if the trial has no score.
    """
    step: float
    if trial.state == TrialState.COMPLETE and trial.values is not None:
        step, values = math.inf, trial.values
    elif (partial := TrialRecord.of(trial).partial) is not None:
        step, *values = partial
    elif trial.intermediate_values and len(study.directions) == 1:
        step = max(trial.intermediate_values)
        values = [trial.intermediate_values[int(step)]]
    else:
        return None
    signs = [1.0 if direction == StudyDirection.MAXIMIZE else -1.0 for direction in study.directions]
    return float(step), *(sign * value for sign, value in zip(signs, values, strict=True))


def violates_constraints(trial: FrozenTrial) -> bool:
    """Return whether the trial violates a constraint: in Optuna, a positive value is a violation."""
    values = trial.constraints.values() if hasattr(trial, "constraints") else trial.system_attrs.get("constraints")
    return any(value > 0 for value in values or ())


def intermediate_scores(trial: FrozenTrial, study: Study) -> dict[int, float]:
    """Return the finite reports of the first objective by step, larger is better."""
    sign = 1.0 if study.directions[0] == StudyDirection.MAXIMIZE else -1.0
    return {step: sign * value for step, value in TrialRecord.of(trial).rungs.items() if math.isfinite(value)}


WORST = -3.0
"""Lower bound of robust scores, in deviations from the median: how bad a poor trial is does not matter."""


class Gains:
    """Mean gain in score from each reported step to the next, over all trials."""

    def __init__(self) -> None:
        self._counts_and_sums: dict[int, dict[int, list[float]]] = {}
        self._to_end: dict[float, float] = {}
        """Cache of `to_end`, cleared by `add`."""

    def add(self, scores: Mapping[int, float]) -> None:
        """Add the intermediate scores of one trial, by step."""
        self._to_end.clear()
        for (step, value), (later, reached) in pairwise(sorted(scores.items())):
            count_and_sum = self._counts_and_sums.setdefault(step, {}).setdefault(later, [0.0, 0.0])
            count_and_sum[0] += 1.0
            count_and_sum[1] += reached - value

    def to_end(self, step: float) -> float:
        """Return the mean gain from a step to the last one.

        Sums the gains of consecutive steps; the next step is the one that most trials reported next.
        """
        passed = []
        while step in self._counts_and_sums and step not in self._to_end:
            later, (count, gained) = max(self._counts_and_sums[int(step)].items(), key=lambda item: item[1][0])
            passed.append((step, gained / count))
            step = later
        total = self._to_end.get(step, 0.0)
        for step, gain in reversed(passed):
            total += gain
            self._to_end[step] = total
        return total


def extrapolate_pruned(fitnesses: np.ndarray, gains: Gains) -> np.ndarray:
    """Replace the score of each pruned trial by its expected final score: its last score plus the mean gain.

    Pruned trials then compare with each other wherever they were stopped. All of them stay below the complete
    trials: being pruned is a poor sign, and the gains are known only from trials that were not.

    Args:
        fitnesses: N x (1 + K), last step and K objectives, see `fitness`.
        gains: of the first objective.

    Returns:
        N x (1 + K), with 0 as the last step of every pruned trial.
    """
    found = fitnesses.copy()
    pruned = np.isfinite(found[:, 0])
    for step in np.unique(found[pruned, 0]):
        found[found[:, 0] == step, 1] += gains.to_end(step)
    found[pruned, 0] = 0.0
    return found


def scalarize(fitnesses: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Combine K objectives into one by the augmented Chebyshev distance of their ranks (Knowles 2006, eq. 2).

    Ranks make the result independent of the objectives' scales. Trials are ranked among those with the same last
    step, since a pruned trial may report its costs in other units.

    Args:
        fitnesses: N x (1 + K), last step and K objectives, nan for failed trials.
        weights: K, sum to 1.

    Returns:
        N x 2, last step and combined score; nan stays nan.
    """
    if fitnesses.shape[1] == 2:
        return fitnesses
    regret = np.full_like(fitnesses[:, 1:], np.nan)
    for step in np.unique(fitnesses[~np.isnan(fitnesses[:, 0]), 0]):
        rows = fitnesses[:, 0] == step
        regret[rows] = 1.0 - rankdata(fitnesses[rows, 1:], axis=0, nan_policy="omit") / np.count_nonzero(rows)
    weighted = regret * weights
    return np.stack([fitnesses[:, 0], -weighted.max(axis=1) - 0.05 * weighted.sum(axis=1)], axis=1)


def weight_vectors(count: int, objectives: int) -> np.ndarray:
    """Return `count` x `objectives` evenly spread weights, each row with sum 1."""
    spread = -np.log(qmc.Halton(objectives, scramble=False).random(count + 1)[1:])
    return spread / spread.sum(axis=1, keepdims=True)


def robust_scores(fitnesses: np.ndarray) -> np.ndarray:
    """Standardize scores by the spread of the better half and clip poor ones at WORST.

    Near an optimum of real numbers, the distances between scores matter, and ranks lose them. Fall back to
    `gaussian_ranks` if a trial is not complete, or if the scores have no finite, positive spread.

    Args:
        fitnesses: N x 2, last step and score.

    Returns:
        N scores of mean 0 and standard deviation 1.
    """
    scores = fitnesses[:, 1]
    with np.errstate(all="ignore"):  # infinite scores, and scores whose squares overflow
        median = np.median(scores)
        better_half = scores[scores >= median]
        spread = better_half.std() if len(better_half) else 0.0
    if not np.isposinf(fitnesses[:, 0]).all() or not 0.0 < spread < np.inf:
        return gaussian_ranks(fitnesses)
    found = np.maximum((scores - median) / spread, WORST)
    return (found - found.mean()) / found.std()


def gaussian_ranks(fitnesses: np.ndarray) -> np.ndarray:
    """Transform scores to the normal quantiles of their ranks: independent of scale, robust to outliers.

    Args:
        fitnesses: N x 2, last step and score, compared in this order.

    Returns:
        N quantiles of mean 0, equal for ties.
    """
    _, places = np.unique(fitnesses, axis=0, return_inverse=True)
    return ndtri((rankdata(places.ravel()) - 0.5) / len(fitnesses))
