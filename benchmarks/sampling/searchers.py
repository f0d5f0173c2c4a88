"""Searchers of tables: our samplers, Optuna's and other packages' behind one ask-and-tell interface."""

from __future__ import annotations

from typing import Any, Protocol

import optuna

from benchmarks.sampling.peers import PEERS, installed_peers, make_peer
from benchmarks.sampling.tables import Combination, Table
from nas.errors import UserError
from nas.samplers import OPTUNA_SAMPLERS, SAMPLERS, make_sampler

__all__ = ["OURS", "OptunaSearcher", "Searcher", "benchmark_sampler", "default_samplers", "make_searcher"]

OURS = ("surrogate", "local", "evolution")

OPTUNA_BASELINES = ("tpe", "gp", "random")
"""Optuna's samplers, used as in Optuna."""

NNI_TUNERS = ("nni:tpe", "nni:evolution")


class Searcher(Protocol):
    """Proposes combinations, also several before the first score."""

    def ask(self) -> tuple[Combination, Any]:
        """Return a combination to evaluate, and a handle for `tell`.

        Raises:
            ExhaustedError: if it has no more proposals.
        """

    def tell(self, handle: Any, score: float | None) -> None:
        """Report a score, larger is better, or None for an invalid combination."""


class OptunaSearcher:
    """Optuna sampler that searches a table."""

    def __init__(self, sampler: optuna.samplers.BaseSampler, table: Table) -> None:
        self._study = optuna.create_study(sampler=sampler, direction="maximize")
        self._table = table

    def ask(self) -> tuple[Combination, optuna.Trial]:
        trial = self._study.ask()
        return self._table.suggest(trial), trial

    def tell(self, handle: optuna.Trial, score: float | None) -> None:
        if score is None:
            self._study.tell(handle, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(handle, score)


def make_searcher(name: str, table: Table, seed: int, evaluations: int = 200) -> Searcher:
    """Create a searcher by name.

    Args:
        name: one of nas.samplers.SAMPLERS or of benchmarks.sampling.peers.PEERS.
        table: the table to search.
        seed: seed of its random numbers.
        evaluations: number of evaluations of the search, for peers whose initial design depends on it.

    Raises:
        UserError: if the name is unknown or a package is not installed.
    """
    if name in PEERS:
        return make_peer(name, table, seed, evaluations)
    if name not in SAMPLERS and not name.startswith("nni:"):
        raise UserError(f"--sampler {name}: unknown sampler; choose from {', '.join(SAMPLERS)}, {', '.join(PEERS)}")
    return OptunaSearcher(benchmark_sampler(name, seed), table)


def benchmark_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Create a sampler by name; Optuna's baselines as in Optuna, not reseeded for each trial as in `nas-search`.

    Raises:
        UserError: if the name is unknown or a package is not installed.
    """
    return OPTUNA_SAMPLERS[name](seed=seed) if name in OPTUNA_BASELINES else make_sampler(name, seed)


def default_samplers() -> list[str]:
    """Return the names of our samplers, of Optuna's baselines and of the installed peers."""
    found = [*OURS, *OPTUNA_BASELINES]
    for name in NNI_TUNERS:
        try:
            make_sampler(name, 0)
        except UserError:
            continue
        found.append(name)
    return found + installed_peers()
