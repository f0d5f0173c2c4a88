"""How good a trial is beside the others of its study, pruned ones included."""

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
    "broken",
    "directions",
    "fitness",
    "foretold",
    "gaussian_ranks",
    "one_score",
    "reports",
    "robust_scores",
]


def fitness(trial: FrozenTrial, study: Study) -> tuple[float, ...] | None:
    """How far the trial went, then each objective there, larger being better; None when it has no score."""
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


def broken(trial: FrozenTrial) -> bool:
    """Whether it breaks a constraint, one that Optuna holds being met at 0 and below."""
    values = trial.constraints.values() if hasattr(trial, "constraints") else trial.system_attrs.get("constraints")
    return any(value > 0 for value in values or ())


def reports(trial: FrozenTrial, study: Study) -> dict[int, float]:
    """The first objective by step, larger being better; without what is not finite."""
    sign = 1.0 if study.directions[0] == StudyDirection.MAXIMIZE else -1.0
    return {step: sign * value for step, value in TrialRecord.of(trial).rungs.items() if math.isfinite(value)}


WORST = -3.0
"""Deviations below the median at which scores are cut off: how bad the bad ones are is of no interest."""


class Gains:
    """What trials gained on average from each step at which they reported to the next one."""

    def __init__(self) -> None:
        self._found: dict[int, dict[int, list[float]]] = {}
        self._known: dict[float, float] = {}
        """Gains to the end by step, until more is added."""

    def add(self, reported: Mapping[int, float]) -> None:
        """Take note of one trial's reports."""
        self._known.clear()
        for (step, value), (later, reached) in pairwise(sorted(reported.items())):
            count_and_sum = self._found.setdefault(step, {}).setdefault(later, [0.0, 0.0])
            count_and_sum[0] += 1.0
            count_and_sum[1] += reached - value

    def to_end(self, step: float) -> float:
        """The gain from a step to the last one, each time to the step that most trials reported next."""
        passed = []
        while step in self._found and step not in self._known:
            later, (count, gained) = max(self._found[int(step)].items(), key=lambda item: item[1][0])
            passed.append((step, gained / count))
            step = later
        total = self._known.get(step, 0.0)
        for step, gain in reversed(passed):
            total += gain
            self._known[step] = total
        return total


def foretold(fitnesses: np.ndarray, gains: Gains) -> np.ndarray:
    """N x (1 + K) fitnesses in which a pruned trial has the score that it would have reached, had it gained as others.

    Pruned trials so compare with each other wherever they were stopped; all of them stay below those trained in
    full: to be pruned is a poor sign, and those that were not are the ones that the gains are known of.
    """
    found = fitnesses.copy()
    stopped = np.isfinite(found[:, 0])
    for step in np.unique(found[stopped, 0]):
        found[found[:, 0] == step, 1] += gains.to_end(step)
    found[stopped, 0] = 0.0
    return found


def one_score(fitnesses: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """N x (1 + K) fitnesses of K objectives as N x 2 of one, that of weighted ranks: nan stays nan.

    The scalarisation is the augmented Chebyshev distance from a candidate that is first in every objective
    (Knowles 2006, eq. 2), in ranks instead of values so that no scale matters. Trials that went as far as each other
    are ranked among themselves: what a pruned one costs may be told in other units.
    """
    if fitnesses.shape[1] == 2:
        return fitnesses
    behind = np.full_like(fitnesses[:, 1:], np.nan)
    for far in np.unique(fitnesses[~np.isnan(fitnesses[:, 0]), 0]):
        rows = fitnesses[:, 0] == far
        behind[rows] = 1.0 - rankdata(fitnesses[rows, 1:], axis=0, nan_policy="omit") / np.count_nonzero(rows)
    away = behind * weights
    return np.stack([fitnesses[:, 0], -away.max(axis=1) - 0.05 * away.sum(axis=1)], axis=1)


def directions(count: int, objectives: int) -> np.ndarray:
    """`count` vectors of weights that sum to 1, spread evenly: what an ask is to look for, in turn."""
    spread = -np.log(qmc.Halton(objectives, scramble=False).random(count + 1)[1:])
    return spread / spread.sum(axis=1, keepdims=True)


def robust_scores(fitnesses: np.ndarray) -> np.ndarray:
    """N x 2 fitnesses (how far, score), in deviations of the better half, cut off below: N of mean 0 and deviation 1.

    Close to an optimum among real numbers what matters is how little scores fall off, of which ranks tell nothing.
    Where trials were not all trained in full, scores do not compare, and these are the ranks; so they are where
    scores have no spread that can be told.
    """
    scores = fitnesses[:, 1]
    with np.errstate(all="ignore"):  # of infinite scores, and of those whose squares are
        middle = np.median(scores)
        better = scores[scores >= middle]
        spread = better.std() if len(better) else 0.0
    if not np.isposinf(fitnesses[:, 0]).all() or not 0.0 < spread < np.inf:
        return gaussian_ranks(fitnesses)
    found = np.maximum((scores - middle) / spread, WORST)
    return (found - found.mean()) / found.std()


def gaussian_ranks(fitnesses: np.ndarray) -> np.ndarray:
    """The normal quantiles of the ranks of N x 2 fitnesses (how far, score): N numbers of mean zero, ties alike.

    Ranks make the model blind to the scale of the scores, and to how bad the bad ones are.
    """
    _, places = np.unique(fitnesses, axis=0, return_inverse=True)
    return ndtri((rankdata(places.ravel()) - 0.5) / len(fitnesses))
