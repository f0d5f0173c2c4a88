"""Samplers: each is an Optuna sampler, usable in any Optuna study."""

from __future__ import annotations

import optuna

from nas.errors import UserError
from nas.search.samplers.evolution import EvolutionSampler

__all__ = ["SAMPLERS", "EvolutionSampler", "make_sampler"]

SAMPLERS = ("evolution", "random", "tpe")


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """The sampler of that name.

    Raises:
        UserError: when there is none.
    """
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "tpe":
        # Grouped, so that a parameter is modelled with those it is conditional on.
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
    if name == "evolution":
        return EvolutionSampler(seed=seed)
    raise UserError(f"--sampler {name}: there is no such sampler; choose from {', '.join(SAMPLERS)}")
