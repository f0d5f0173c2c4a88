"""Optuna samplers, usable in any Optuna study."""

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
from nas.samplers.reseeded import ReseededSampler
from nas.samplers.surrogate import SurrogateSampler

__all__ = [
    "MULTI_OBJECTIVE_SAMPLERS",
    "OPTUNA_SAMPLERS",
    "SAMPLERS",
    "EvolutionSampler",
    "LocalSearchSampler",
    "NNISampler",
    "SurrogateSampler",
    "make_sampler",
]

SAMPLERS = ("surrogate", "evolution", "local", "random", "tpe", "gp", "cmaes", "nsga2", "nni:tpe", "nni:evolution")
"""Names of the samplers."""


MULTI_OBJECTIVE_SAMPLERS = ("surrogate", "local", "random", "tpe", "gp", "nsga2")
"""Names of the samplers that support several objectives."""


OPTUNA_SAMPLERS: dict[str, Callable[..., optuna.samplers.BaseSampler]] = {
    "random": optuna.samplers.RandomSampler,
    # With groups, a parameter is modelled jointly with those that it is conditional on.
    "tpe": partial(optuna.samplers.TPESampler, multivariate=True, group=True),
    # These two model the parameters that all trials have, and sample the others independently.
    "gp": partial(optuna.samplers.GPSampler, warn_independent_sampling=False),
    "cmaes": partial(optuna.samplers.CmaEsSampler, warn_independent_sampling=False),
    "nsga2": optuna.samplers.NSGAIISampler,
}


def make_sampler(name: str, seed: int, priors: Mapping[str, Any] | None = None) -> optuna.samplers.BaseSampler:
    """Create a sampler by name. Its proposals depend only on the seed and the study.

    Args:
        name: one of SAMPLERS.
        seed: seed of its random numbers.
        priors: values expected to be best, by parameter path; used by `surrogate` only.

    Raises:
        UserError: if the sampler is unknown or a package that it needs is not installed.
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
    if name in OPTUNA_SAMPLERS:
        return ReseededSampler(OPTUNA_SAMPLERS[name], seed)
    if name not in makers:
        raise UserError(f"--sampler {name}: unknown sampler; choose from {', '.join(SAMPLERS)}")
    return makers[name]()


def _need(package: str, name: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(f"--sampler {name} needs the package {package}: pip install {package}")
