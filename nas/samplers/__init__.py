"""Samplers: each is an Optuna sampler, usable in any Optuna study."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import optuna

from nas.errors import UserError
from nas.samplers.evolution import EvolutionSampler
from nas.samplers.local import LocalSearchSampler
from nas.samplers.nni_tuners import NNISampler
from nas.samplers.reseeded import AfreshSampler
from nas.samplers.surrogate import SurrogateSampler

__all__ = [
    "OPTUNAS",
    "SAMPLERS",
    "SEVERAL_OBJECTIVES",
    "EvolutionSampler",
    "LocalSearchSampler",
    "NNISampler",
    "SurrogateSampler",
    "make_sampler",
]

SAMPLERS = ("surrogate", "evolution", "local", "random", "tpe", "gp", "cmaes", "nsga2", "nni:tpe", "nni:evolution")
"""The names known."""


SEVERAL_OBJECTIVES = ("surrogate", "local", "random", "tpe", "gp", "nsga2")
"""Those that serve a study of several objectives."""


OPTUNAS: dict[str, Callable[..., optuna.samplers.BaseSampler]] = {
    "random": optuna.samplers.RandomSampler,
    # Grouped, so that a parameter is modelled with those it is conditional on.
    "tpe": partial(optuna.samplers.TPESampler, multivariate=True, group=True),
    # These two model the parameters that every trial has, and draw the others.
    "gp": partial(optuna.samplers.GPSampler, warn_independent_sampling=False),
    "cmaes": partial(optuna.samplers.CmaEsSampler, warn_independent_sampling=False),
    "nsga2": optuna.samplers.NSGAIISampler,
}


def make_sampler(name: str, seed: int, priors: Mapping[str, Any] | None = None) -> optuna.samplers.BaseSampler:
    """The sampler of that name; what it proposes follows from the seed and the study alone.

    Args:
        name: one of SAMPLERS.
        seed: of its random numbers.
        priors: by parameter path, what is believed to be best; of use to `surrogate` only.

    Raises:
        UserError: when there is none, or it needs what is not installed.
    """
    if name.startswith("nni:"):
        return NNISampler(name.removeprefix("nni:"), seed)
    if name == "cmaes":
        _need("cmaes", name)
    makers: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "surrogate": lambda: SurrogateSampler(seed=seed, priors=priors),
        "evolution": lambda: EvolutionSampler(seed=seed),
        "local": lambda: LocalSearchSampler(seed=seed),
    }
    if name in OPTUNAS:
        return AfreshSampler(OPTUNAS[name], seed)
    if name not in makers:
        raise UserError(f"--sampler {name}: there is no such sampler; choose from {', '.join(SAMPLERS)}")
    return makers[name]()


def _need(package: str, name: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(f"--sampler {name} needs the package {package}: pip install {package}")
