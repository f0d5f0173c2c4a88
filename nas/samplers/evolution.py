"""Regularized evolution (Real et al. 2019) as an Optuna sampler over any conditional space."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.samplers.independent import IndependentSampler, checked_seed, drawn, holds, study_key
from nas.samplers.scores import Gains, broken, fitness, foretold, reports

__all__ = ["EvolutionSampler"]


class EvolutionSampler(IndependentSampler):
    """Mutates the best of a random few of the most recent trials.

    The first few trials are drawn at random, the less often the more there are.

    The parent keeps its genes but one or more, which are redrawn; a parameter that the parent never reached
    is drawn; one that is no longer reached is dropped, since nothing asks for it. Nothing is known of the
    space beforehand. Pruned trials take part, see `foretold`; those that break a constraint do not.

    Args:
        population: trials that are alive, the latest ones.
        tournament: how many of them are drawn, the best of which is the parent.
        redraw: expected number of redrawn genes, at least one being redrawn.
        start: trials after which none is drawn at random any more.
        seed: of every random number, along with the trial's: a search goes on where it stopped.
    """

    def __init__(
        self, population: int = 50, tournament: int = 10, redraw: float = 1.5, start: int = 16, seed: int | None = None
    ) -> None:
        self._population, self._tournament, self._redraw, self._start = population, tournament, redraw, start
        self._seed = checked_seed(seed)
        self._genes: dict[tuple[tuple[str, int], int], dict[str, Any]] = {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Choose the genes.

        Raises:
            ValueError: when the study has several objectives.
        """
        self._raise_error_if_multi_objective(study)
        rng = random.Random(f"{self._seed} {trial.number}")
        self._genes[study_key(study), trial.number] = self._mutated(study, rng)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        genes = self._genes.get((study_key(study), trial.number), {})
        if param_name in genes and holds(param_distribution, genes[param_name]):
            return genes[param_name]
        return drawn(self._seed, study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._genes.pop((study_key(study), trial.number), None)

    def _mutated(self, study: Study, rng: random.Random) -> dict[str, Any]:
        """The parent's genes without those to redraw; none when the trial is to be drawn at random."""
        ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        alive = [t for t in ended if t.params and _fit(t, study)][-self._population :]
        if rng.random() * self._start >= len(alive):
            return {}
        gains = Gains()
        for trial in ended:
            gains.add(reports(trial, study))
        entrants = rng.sample(alive, min(self._tournament, len(alive)))
        reached = foretold(np.array([fitness(t, study) for t in entrants], dtype=float), gains)
        parent = entrants[max(range(len(entrants)), key=lambda i: tuple(reached[i]))]
        names = sorted(parent.params)
        chance = (self._redraw - 1) / max(len(names) - 1, 1)
        redrawn = {name for name in names if rng.random() < chance} | {rng.choice(names)}
        return {name: value for name, value in parent.params.items() if name not in redrawn}


def _fit(trial: FrozenTrial, study: Study) -> bool:
    """Whether a trial may be a parent: it has a score, and breaks no constraint of Optuna's."""
    reached = fitness(trial, study)
    return reached is not None and not any(map(math.isnan, reached)) and not broken(trial)
