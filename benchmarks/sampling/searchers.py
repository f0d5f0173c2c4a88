"""Whatever proposes combinations and is told their scores: every sampler of a benchmark in one shape."""

from __future__ import annotations

from typing import Any, Protocol

import optuna

from benchmarks.sampling.peers import PEERS, make_peer, peers_here
from benchmarks.sampling.tables import Places, Table
from nas.errors import UserError
from nas.samplers import OPTUNA_SAMPLERS, SAMPLERS, make_sampler

__all__ = ["OURS", "OptunaSearcher", "Searcher", "default_samplers", "make_searcher", "sampler_as_shipped"]

OURS = ("surrogate", "local", "evolution")

AS_SHIPPED = ("tpe", "gp", "random")

NNIS = ("nni:tpe", "nni:evolution")


class Searcher(Protocol):
    """Asked for combinations, several at once if need be, and told of each how good it was."""

    def ask(self) -> tuple[Places, Any]:
        """The places of the values to try, and a handle to tell their score by.

        Raises:
            ExhaustedError: when it has nothing more to propose.
        """

    def tell(self, handle: Any, score: float | None) -> None:
        """The score, larger is better; None of a combination that is not valid."""


class OptunaSearcher:
    """An Optuna sampler on a table."""

    def __init__(self, sampler: optuna.samplers.BaseSampler, table: Table) -> None:
        self._study = optuna.create_study(sampler=sampler, direction="maximize")
        self._table = table

    def ask(self) -> tuple[Places, optuna.Trial]:
        trial = self._study.ask()
        return self._table.ask(trial), trial

    def tell(self, handle: optuna.Trial, score: float | None) -> None:
        if score is None:
            self._study.tell(handle, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(handle, score)


def make_searcher(name: str, table: Table, seed: int, evaluations: int = 200) -> Searcher:
    """The searcher of that name: one of nas.samplers.SAMPLERS or of benchmarks.sampling.peers.PEERS.

    Args:
        evaluations: how many there will be; of use to peers whose initial design depends on it.

    Raises:
        UserError: when there is none, or it needs what is not installed.
    """
    if name in PEERS:
        return make_peer(name, table, seed, evaluations)
    if name not in SAMPLERS and not name.startswith("nni:"):
        raise UserError(f"--sampler {name}: unknown sampler; choose from {', '.join(SAMPLERS)}, {', '.join(PEERS)}")
    return OptunaSearcher(sampler_as_shipped(name, seed), table)


def sampler_as_shipped(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's for a whole search, which nas-search makes anew for each trial so that it can go on; the others as ever.

    Raises:
        UserError: when there is none, or it needs what is not installed.
    """
    return OPTUNA_SAMPLERS[name](seed=seed) if name in AS_SHIPPED else make_sampler(name, seed)


def default_samplers() -> list[str]:
    """Ours, and every peer whose package is there."""
    found = [*OURS, *AS_SHIPPED]
    for name in NNIS:
        try:
            make_sampler(name, 0)
        except UserError:
            continue
        found.append(name)
    return found + peers_here()
