"""Optuna's samplers, made reproducible: a resumed study continues as the uninterrupted one would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.samplers.independent import study_key

__all__ = ["ReseededSampler"]


class ReseededSampler(BaseSampler):
    """Sampler that creates a new sampler for each trial, seeded by the trial's number.

    Optuna's samplers draw from one stream of random numbers, so a study that is stopped and resumed differs from
    an uninterrupted one. Everything else that they use, they read from the study.

    Args:
        make: creates a sampler, given `seed`.
        seed: seed of all random numbers.
    """

    def __init__(self, make: Callable[..., BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._samplers: dict[tuple[tuple[str, int], int], BaseSampler] = {}

    def _sampler_of(self, study: Study, trial: FrozenTrial) -> BaseSampler:
        key = study_key(study), trial.number
        if key not in self._samplers:
            seed = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0]
            self._samplers[key] = self._make(seed=int(seed))
        return self._samplers[key]

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler_of(study, trial).before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler_of(study, trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler_of(study, trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler_of(study, trial).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._sampler_of(study, trial).after_trial(study, trial, state, values)
        self._samplers.pop((study_key(study), trial.number), None)
