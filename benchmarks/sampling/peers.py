"""Searchers of other packages, by their own ask-and-tell interfaces and with their own defaults.

All of them minimise, so each is told the score's negative. Ordered parameters are integers to them (the places of the
values), the others are labels.
"""

from __future__ import annotations

import importlib.util
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.sampling.tables import Places, Table
from nas.errors import UserError

__all__ = [
    "DISTRIBUTIONS",
    "PEERS",
    "ExhaustedError",
    "NePSEvolution",
    "SMACSearcher",
    "SyneTuneSearcher",
    "distributions_here",
    "make_peer",
    "peers_here",
]

PEERS = {
    "neps:evolution": "neps",
    "syne:evolution": "syne_tune",
    "syne:evolution20": "syne_tune",
    "syne:bore": "syne_tune",
    "smac": "smac",
}
"""The names known, and the package that each needs."""


DISTRIBUTIONS = {"neps": "neural-pipeline-search", "syne_tune": "syne-tune", "smac": "smac"}
"""What each package is called where it is installed from."""


class ExhaustedError(Exception):
    """There is nothing more to propose."""


class NePSEvolution:
    """Regularized evolution of NePS: 20 in the population, 5 in a tournament, mutation or crossover."""

    def __init__(self, table: Table, seed: int) -> None:
        import neps
        from neps.space.neps_spaces.neps_space import NepsCompatConverter

        parameters = {
            name: neps.Integer(0, len(values) - 1)
            if name in table.ordered
            else neps.Categorical(choices=tuple(range(len(values))))
            for name, values in table.values.items()
        }
        space = type("Space", (neps.PipelineSpace,), parameters)
        self._names = list(table.values)
        self._neps = neps.AskAndTell(neps.algorithms.neps_regularized_evolution(space()))
        self._stripped = NepsCompatConverter.from_neps_config
        self._state = _Randomness(seed)

    def ask(self) -> tuple[Places, Any]:
        with self._state.used():
            trial = self._neps.ask()
        # A parent is looked up by paths without the prefix that its child's paths carry. As it is handed over, none
        # is ever found, every gene is drawn anew, and the evolution is a random search.
        trial.config = self._stripped(trial.config).predefined_samplings
        places = {path.split(".", 1)[1].split("::")[0]: int(place) for path, place in trial.config.items()}
        return tuple(places[name] for name in self._names), trial

    def tell(self, handle: Any, score: float | None) -> None:
        self._neps.tell(handle, ValueError("not valid") if score is None else -score)


class SyneTuneSearcher:
    """A single-fidelity scheduler of Syne Tune.

    Args:
        scheduler: its name in syne_tune.optimizer.baselines.
        options: of the scheduler.
    """

    def __init__(self, scheduler: str, table: Table, seed: int, **options: Any) -> None:
        from syne_tune import config_space
        from syne_tune.backend.trial_status import Trial
        from syne_tune.optimizer import baselines

        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        space = {
            name: config_space.randint(0, len(values) - 1)
            if name in table.ordered
            else config_space.choice([str(place) for place in range(len(values))])
            for name, values in table.values.items()
        }
        self._names, self._trial, self._asked = list(table.values), Trial, 0
        # Its evolution draws the first population from NumPy's global random numbers.
        self._state = _Randomness(seed)
        with self._state.used():
            self._scheduler = getattr(baselines, scheduler)(space, metric="cost", random_seed=seed, **options)

    def ask(self) -> tuple[Places, Any]:
        with self._state.used():
            proposed = self._scheduler.suggest()
        if proposed is None:
            raise ExhaustedError
        trial = self._trial(trial_id=self._asked, config=proposed.config, creation_time=datetime.now())
        self._asked += 1
        return tuple(int(proposed.config[name]) for name in self._names), trial

    def tell(self, handle: Any, score: float | None) -> None:
        with self._state.used():
            if score is None:
                self._scheduler.on_trial_error(handle)
            else:
                self._scheduler.on_trial_complete(handle, {"cost": -score})


class SMACSearcher:
    """SMAC3's facade for hyper-parameters: a Sobol design of up to a quarter of the evaluations, then its forest."""

    def __init__(self, table: Table, seed: int, evaluations: int) -> None:
        import ConfigSpace
        from smac import HyperparameterOptimizationFacade, Scenario
        from smac.runhistory.dataclasses import TrialValue
        from smac.runhistory.enumerations import StatusType

        space = ConfigSpace.ConfigurationSpace(seed=seed)
        for name, values in table.values.items():
            if name in table.ordered:
                space.add(ConfigSpace.Integer(name, (0, len(values) - 1)))
            else:
                space.add(ConfigSpace.Categorical(name, [str(place) for place in range(len(values))]))
        self._names, self._value, self._status = list(table.values), TrialValue, StatusType
        self._folder = TemporaryDirectory()
        scenario = Scenario(
            space, deterministic=True, n_trials=evaluations, seed=seed, output_directory=Path(self._folder.name)
        )
        logging.getLogger("smac").setLevel(logging.ERROR)
        self._smac = HyperparameterOptimizationFacade(scenario, _never_called, logging_level=False, overwrite=True)
        self._costs: list[float] = []

    def ask(self) -> tuple[Places, Any]:
        try:
            trial = self._smac.ask()
        except StopIteration:
            raise ExhaustedError from None
        return tuple(int(trial.config[name]) for name in self._names), trial

    def tell(self, handle: Any, score: float | None) -> None:
        if score is None:
            # Its forest is shown failures as well, and wants a finite cost.
            value = self._value(cost=max(self._costs, default=0.0), status=self._status.CRASHED)
        else:
            value = self._value(cost=-score)
            self._costs.append(-score)
        self._smac.tell(handle, value, save=False)


def _never_called(config: Any, seed: int = 0) -> float:
    raise AssertionError("told, not called")


def peers_here() -> list[str]:
    """Those of PEERS whose package is installed."""
    return [name for name, package in PEERS.items() if importlib.util.find_spec(package) is not None]


def distributions_here() -> list[str]:
    """What the packages of the peers that are here are installed from, for the record of versions."""
    return list(dict.fromkeys(DISTRIBUTIONS[PEERS[name]] for name in peers_here()))


def make_peer(name: str, table: Table, seed: int, evaluations: int) -> NePSEvolution | SyneTuneSearcher | SMACSearcher:
    """The peer of that name.

    Raises:
        UserError: when its package is not installed.
    """
    makers: dict[str, Callable[[], NePSEvolution | SyneTuneSearcher | SMACSearcher]] = {
        "neps:evolution": lambda: NePSEvolution(table, seed),
        "syne:evolution": lambda: SyneTuneSearcher("REA", table, seed),
        "syne:evolution20": lambda: SyneTuneSearcher("REA", table, seed, population_size=20),
        "syne:bore": lambda: SyneTuneSearcher("BORE", table, seed),
        "smac": lambda: SMACSearcher(table, seed, evaluations),
    }
    try:
        return makers[name]()
    except ImportError as error:
        raise UserError(
            f"--sampler {name} needs the package {PEERS[name]} ({error}): pip install -r benchmarks/requirements.txt"
        ) from error


class _Randomness:
    """The global random numbers of Python and NumPy, which some peers draw from, kept apart by seed."""

    def __init__(self, seed: int) -> None:
        self._python = random.Random(seed).getstate()
        self._numpy = np.random.RandomState(seed).get_state()

    @contextmanager
    def used(self) -> Iterator[None]:
        python, numpy = random.getstate(), np.random.get_state()
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        try:
            yield
        finally:
            self._python, self._numpy = random.getstate(), np.random.get_state()
            random.setstate(python)
            np.random.set_state(numpy)
