"""Searchers of other packages, with their ask-and-tell interfaces and default settings.

All of them minimize, so they get negated scores. Ordered parameters are integers, the indices of their values; the
others are categorical.
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

from benchmarks.sampling.tables import Combination, Table
from nas.errors import UserError

__all__ = [
    "DISTRIBUTIONS",
    "PEERS",
    "ExhaustedError",
    "NePSEvolution",
    "SMACSearcher",
    "SyneTuneSearcher",
    "installed_distributions",
    "installed_peers",
    "make_peer",
]

PEERS = {
    "neps:evolution": "neps",
    "syne:evolution": "syne_tune",
    "syne:evolution20": "syne_tune",
    "syne:bore": "syne_tune",
    "smac": "smac",
}
"""Names of the peers, and the package that each needs."""


DISTRIBUTIONS = {"neps": "neural-pipeline-search", "syne_tune": "syne-tune", "smac": "smac"}
"""Name of each package's distribution on PyPI."""


class ExhaustedError(Exception):
    """The searcher has no more proposals."""


class NePSEvolution:
    """Regularized evolution of NePS: population of 20, tournaments of 5, mutation or crossover."""

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
        self._state = _GlobalRandomState(seed)

    def ask(self) -> tuple[Combination, Any]:
        with self._state.active():
            trial = self._neps.ask()
        # NePS stores genes by paths with a prefix and looks up a parent's genes without it. Unless the prefix is
        # stripped, it finds none, samples every gene anew, and becomes a random search.
        trial.config = self._stripped(trial.config).predefined_samplings
        indices = {path.split(".", 1)[1].split("::")[0]: int(index) for path, index in trial.config.items()}
        return tuple(indices[name] for name in self._names), trial

    def tell(self, handle: Any, score: float | None) -> None:
        self._neps.tell(handle, ValueError("not valid") if score is None else -score)


class SyneTuneSearcher:
    """Single-fidelity scheduler of Syne Tune.

    Args:
        scheduler: its name in syne_tune.optimizer.baselines.
        table: the table to search.
        seed: seed of its random numbers.
        options: options of the scheduler.
    """

    def __init__(self, scheduler: str, table: Table, seed: int, **options: Any) -> None:
        from syne_tune import config_space
        from syne_tune.backend.trial_status import Trial
        from syne_tune.optimizer import baselines

        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        space = {
            name: config_space.randint(0, len(values) - 1)
            if name in table.ordered
            else config_space.choice([str(index) for index in range(len(values))])
            for name, values in table.values.items()
        }
        self._names, self._trial, self._asked = list(table.values), Trial, 0
        # Its evolution draws the first population from NumPy's global random state.
        self._state = _GlobalRandomState(seed)
        with self._state.active():
            self._scheduler = getattr(baselines, scheduler)(space, metric="cost", random_seed=seed, **options)

    def ask(self) -> tuple[Combination, Any]:
        with self._state.active():
            proposed = self._scheduler.suggest()
        if proposed is None:
            raise ExhaustedError
        trial = self._trial(trial_id=self._asked, config=proposed.config, creation_time=datetime.now())
        self._asked += 1
        return tuple(int(proposed.config[name]) for name in self._names), trial

    def tell(self, handle: Any, score: float | None) -> None:
        with self._state.active():
            if score is None:
                self._scheduler.on_trial_error(handle)
            else:
                self._scheduler.on_trial_complete(handle, {"cost": -score})


class SMACSearcher:
    """SMAC3's hyperparameter facade: a Sobol design of up to a quarter of the evaluations, then a random forest."""

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
                space.add(ConfigSpace.Categorical(name, [str(index) for index in range(len(values))]))
        self._names, self._value, self._status = list(table.values), TrialValue, StatusType
        self._folder = TemporaryDirectory()
        scenario = Scenario(
            space, deterministic=True, n_trials=evaluations, seed=seed, output_directory=Path(self._folder.name)
        )
        logging.getLogger("smac").setLevel(logging.ERROR)
        self._smac = HyperparameterOptimizationFacade(scenario, _never_called, logging_level=False, overwrite=True)
        self._costs: list[float] = []

    def ask(self) -> tuple[Combination, Any]:
        try:
            trial = self._smac.ask()
        except StopIteration:
            raise ExhaustedError from None
        return tuple(int(trial.config[name]) for name in self._names), trial

    def tell(self, handle: Any, score: float | None) -> None:
        if score is None:
            # SMAC's random forest also learns from failures, and needs a finite cost for them.
            value = self._value(cost=max(self._costs, default=0.0), status=self._status.CRASHED)
        else:
            value = self._value(cost=-score)
            self._costs.append(-score)
        self._smac.tell(handle, value, save=False)


def _never_called(config: Any, seed: int = 0) -> float:
    raise AssertionError("SMAC called the target function in spite of ask and tell")


def installed_peers() -> list[str]:
    """Return the names of PEERS whose package is installed."""
    return [name for name, package in PEERS.items() if importlib.util.find_spec(package) is not None]


def installed_distributions() -> list[str]:
    """Return the distributions of the installed peers, for their versions in the provenance."""
    return list(dict.fromkeys(DISTRIBUTIONS[PEERS[name]] for name in installed_peers()))


def make_peer(name: str, table: Table, seed: int, evaluations: int) -> NePSEvolution | SyneTuneSearcher | SMACSearcher:
    """Create a peer by name.

    Args:
        name: one of PEERS.
        table: the table to search.
        seed: seed of its random numbers.
        evaluations: number of evaluations of the search, for the initial design of SMAC.

    Raises:
        UserError: if its package is not installed.
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


class _GlobalRandomState:
    """Global random states of Python and NumPy, which some peers use, separate for each searcher."""

    def __init__(self, seed: int) -> None:
        self._python = random.Random(seed).getstate()
        self._numpy = np.random.RandomState(seed).get_state()

    @contextmanager
    def active(self) -> Iterator[None]:
        python, numpy = random.getstate(), np.random.get_state()
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        try:
            yield
        finally:
            self._python, self._numpy = random.getstate(), np.random.get_state()
            random.setstate(python)
            np.random.set_state(numpy)
