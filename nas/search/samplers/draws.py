"""Values of single parameters, drawn so that a study that is resumed draws the same ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

__all__ = ["drawn", "holds"]


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
