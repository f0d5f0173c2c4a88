"""Regularized evolution (Real et al. 2019) over any conditional space."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.samplers.independent import IndependentSampler, checked_seed, contains, sample_uniform, study_key
from nas.samplers.scores import Gains, extrapolate_pruned, fitness, intermediate_scores, violates_constraints

__all__ = ["EvolutionSampler"]


class EvolutionSampler(IndependentSampler):
    """Sampler that mutates the best of a few random members of the population, the most recent trials.

    The first trials are random, with a probability that falls as the population grows.

    A child keeps the genes of its parent, except one or more that are sampled anew. Genes that the parent does not
    have are sampled, and inactive ones are dropped. The search space need not be known beforehand. Pruned trials take
    part with their expected final scores, see `extrapolate_pruned`; trials that violate a constraint do not.

    Args:
        population: number of most recent trials in the population.
        tournament: number of members that are drawn at random; the best of them is the parent.
        redraw: expected number of genes that are sampled anew, at least 1.
        start: size of the population from which no trial is random.
        seed: seed of all random numbers; with the trial's number, so that a search can be resumed.
    """

    def __init__(
        self, population: int = 50, tournament: int = 10, redraw: float = 1.5, start: int = 16, seed: int | None = None
    ) -> None:
        self._population, self._tournament, self._redraw, self._start = population, tournament, redraw, start
        self._seed = checked_seed(seed)
        self._genes: dict[tuple[tuple[str, int], int], dict[str, Any]] = {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Choose the genes that the trial inherits.

        Raises:
            ValueError: if the study has several objectives.
        """
        self._raise_error_if_multi_objective(study)
        rng = random.Random(f"{self._seed} {trial.number}")
        self._genes[study_key(study), trial.number] = self._inherited_genes(study, rng)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        genes = self._genes.get((study_key(study), trial.number), {})
        if param_name in genes and contains(param_distribution, genes[param_name]):
            return genes[param_name]
        return sample_uniform(self._seed, study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._genes.pop((study_key(study), trial.number), None)

    def _inherited_genes(self, study: Study, rng: random.Random) -> dict[str, Any]:
        """Return the parent's genes without those to sample anew; empty for a random trial."""
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        population = [t for t in finished if t.params and _can_reproduce(t, study)][-self._population :]
        if rng.random() * self._start >= len(population):
            return {}
        gains = Gains()
        for trial in finished:
            gains.add(intermediate_scores(trial, study))
        entrants = rng.sample(population, min(self._tournament, len(population)))
        fitnesses = extrapolate_pruned(np.array([fitness(t, study) for t in entrants], dtype=float), gains)
        parent = entrants[max(range(len(entrants)), key=lambda i: tuple(fitnesses[i]))]
        names = sorted(parent.params)
        probability = (self._redraw - 1) / max(len(names) - 1, 1)
        resampled = {name for name in names if rng.random() < probability} | {rng.choice(names)}
        return {name: value for name, value in parent.params.items() if name not in resampled}


def _can_reproduce(trial: FrozenTrial, study: Study) -> bool:
    """Return whether a trial may be a parent: it has a score and violates no constraint."""
    found = fitness(trial, study)
    return found is not None and not any(map(math.isnan, found)) and not violates_constraints(trial)
