"""Sampling parameter by parameter: the base of our samplers, and draws that a resumed study repeats."""

from __future__ import annotations

import secrets
from collections.abc import Container
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

__all__ = ["IndependentSampler", "checked_seed", "drawn", "holds", "same", "study_key", "trials_of"]


class IndependentSampler(BaseSampler):
    """A sampler that answers for each parameter as it is asked for, so that none need be known beforehand."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}


def checked_seed(seed: int | None) -> int:
    """The seed, or one drawn in its place.

    Raises:
        ValueError: when it is negative.
    """
    if seed is not None and seed < 0:
        raise ValueError(f"seed {seed}: give 0 or more")
    return secrets.randbits(32) if seed is None else seed


def drawn(seed: int, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
    """A value drawn evenly; which one follows from the seed, the trial's number and the parameter's name."""
    state = np.random.SeedSequence([seed, trial.number, *name.encode()]).generate_state(1)
    return RandomSampler(seed=int(state[0])).sample_independent(study, trial, name, distribution)


def holds(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value is one of the distribution's."""
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError):
        return False


def same(distribution: BaseDistribution, one: Any, other: Any) -> bool:
    """Whether two values, the second of which is one of the distribution's, are the same to it."""
    return holds(distribution, one) and distribution.to_internal_repr(one) == distribution.to_internal_repr(other)


def trials_of(study: Study, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
    """A study's trials, not to be changed; all of them, where Optuna's Hyperband shows a sampler one bracket."""
    return study._storage.get_all_trials(study._study_id, deepcopy=False, states=states)


def study_key(study: Study) -> tuple[str, int]:
    """Tells a study from others, and from an earlier one of its name."""
    return study.study_name, study._study_id
