"""Regularized evolution (Real et al. 2019) as an Optuna sampler over any conditional space."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

__all__ = ["EvolutionSampler"]


class EvolutionSampler(BaseSampler):
    """Mutates the best of a random few of the most recent trials.

    The first few trials are drawn at random, the less often the more there are.

    The parent keeps its genes but one or more, which are redrawn; a parameter that the parent never reached
    is drawn; one that is no longer reached is dropped, since nothing asks for it. Nothing is known of the
    space beforehand. Pruned trials take part: one that went further in training outranks one that did not.

    Args:
        population: trials that are alive, the latest ones.
        tournament: how many of them are drawn, the best of which is the parent.
        redraw: expected number of redrawn genes, at least one being redrawn.
        start: trials after which none is drawn at random any more.
        seed: of every random number.
    """

    def __init__(
        self, population: int = 50, tournament: int = 10, redraw: float = 1.5, start: int = 16, seed: int | None = None
    ) -> None:
        self._population, self._tournament, self._redraw, self._start = population, tournament, redraw, start
        self._rng = random.Random(seed)
        self._random = RandomSampler(seed=seed)
        self._genes: dict[int, dict[str, Any]] = {}

    def reseed_rng(self) -> None:
        self._rng.seed()
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._genes[trial.number] = self._mutated(study)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        genes = self._genes.get(trial.number, {})
        if param_name in genes and _holds(param_distribution, genes[param_name]):
            return genes[param_name]
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._genes.pop(trial.number, None)

    def _mutated(self, study: Study) -> dict[str, Any]:
        """The parent's genes without those to redraw; none when the trial is to be drawn at random."""
        ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        alive = [t for t in ended if _fitness(t, study) is not None and t.params][-self._population :]
        if self._rng.random() * self._start >= len(alive):
            return {}
        drawn = self._rng.sample(alive, min(self._tournament, len(alive)))
        parent = max(drawn, key=lambda t: _fitness(t, study) or (0.0, 0.0))
        names = sorted(parent.params)
        chance = (self._redraw - 1) / max(len(names) - 1, 1)
        redrawn = {name for name in names if self._rng.random() < chance} | {self._rng.choice(names)}
        return {name: value for name, value in parent.params.items() if name not in redrawn}


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError):
        return False


def _fitness(trial: FrozenTrial, study: Study) -> tuple[float, float] | None:
    """How far the trial went, then its score there, larger being better."""
    sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return float("inf"), sign * trial.value
    if trial.intermediate_values:
        step = max(trial.intermediate_values)
        return float(step), sign * trial.intermediate_values[step]
    return None
