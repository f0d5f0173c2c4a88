"""Optuna's own samplers so that what they propose follows from the seed and the study, and a resumed one goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.samplers.independent import study_key

__all__ = ["AfreshSampler"]


class AfreshSampler(BaseSampler):
    """A sampler made anew for each trial, with a seed that follows from the trial's number.

    Optuna's draw from one stream of random numbers, so that a study which is stopped and goes on is not the study
    that was never stopped. All else that they know they read from the study.

    Args:
        make: makes the sampler, given `seed`.
        seed: of every random number.
    """

    def __init__(self, make: Callable[..., BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._made: dict[tuple[tuple[str, int], int], BaseSampler] = {}

    def _of(self, study: Study, trial: FrozenTrial) -> BaseSampler:
        key = study_key(study), trial.number
        if key not in self._made:
            seed = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0]
            self._made[key] = self._make(seed=int(seed))
        return self._made[key]

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._of(study, trial).before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._of(study, trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of(study, trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._of(study, trial).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._of(study, trial).after_trial(study, trial, state, values)
        self._made.pop((study_key(study), trial.number), None)
