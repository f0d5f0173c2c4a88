"""Asynchronous successive halving over rungs."""

from __future__ import annotations

from nas.search.stopping.rule import RungRule

__all__ = ["AsyncHalving"]


class AsyncHalving(RungRule):
    """Of the candidates that have reached a rung so far, the best 1 / eta go on (ASHA, Li et al. 2020).

    The first `eta - 1` candidates at a rung go on: they have nothing to be compared with yet. The best so far
    always does.
    """

    def __init__(self, rungs: tuple[int, ...], eta: int = 3) -> None:
        super().__init__(rungs)
        self.eta = eta

    def passes(self, number: int, rung: int, value: float) -> bool:
        seen = len(self.seen[rung])
        return seen < self.eta or self.better(rung, value) < max(seen // self.eta, 1)
