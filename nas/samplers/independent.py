"""Base class of samplers that sample each parameter when it is suggested, and helpers for Optuna studies."""

from __future__ import annotations

import secrets
from collections.abc import Container
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

__all__ = [
    "IndependentSampler",
    "all_trials",
    "checked_seed",
    "contains",
    "equal_values",
    "sample_uniform",
    "study_key",
]


class IndependentSampler(BaseSampler):
    """Sampler without a relative search space: no parameter has to be known before it is suggested."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}


def checked_seed(seed: int | None) -> int:
    """Return the seed, or a random one for None.

    Raises:
        ValueError: if the seed is negative.
    """
    if seed is not None and seed < 0:
        raise ValueError(f"seed {seed}: give 0 or more")
    return secrets.randbits(32) if seed is None else seed


def sample_uniform(seed: int, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
    """Sample a value uniformly; it depends only on the seed, the trial's number and the parameter's name."""
    state = np.random.SeedSequence([seed, trial.number, *name.encode()]).generate_state(1)
    return RandomSampler(seed=int(state[0])).sample_independent(study, trial, name, distribution)


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether the distribution contains a value."""
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError):
        return False


def equal_values(distribution: BaseDistribution, one: Any, other: Any) -> bool:
    """Return whether two values are equal in the distribution's representation, which contains `other`."""
    return contains(distribution, one) and distribution.to_internal_repr(one) == distribution.to_internal_repr(other)


def all_trials(study: Study, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
    """Return all trials of a study without copying them: under Hyperband, Optuna shows samplers one bracket only."""
    return study._storage.get_all_trials(study._study_id, deepcopy=False, states=states)


def study_key(study: Study) -> tuple[str, int]:
    """Return a key that differs between studies, even if a study is deleted and created again."""
    return study.study_name, study._study_id
