"""Asynchronous successive halving over rungs."""

from __future__ import annotations

import heapq

from nas.stopping.rule import RungRule

__all__ = ["AsyncHalving"]


class AsyncHalving(RungRule):
    """Of the candidates that have lately reached a rung, the best 1 / eta go on (after ASHA, Li et al. 2020).

    The published rule compares with all that ever reached the rung. A sampler that learns proposes ever better
    candidates, of which most are then above the best third of old, so that few are stopped and the later ones cost
    several times the earlier ones. Here a candidate is compared with the `eta ** 2` of the highest numbers.

    The first `eta - 1` candidates at a rung go on: they have nothing to be compared with yet. The best so far
    always does.
    """

    def __init__(self, rungs: tuple[int, ...], eta: int = 3) -> None:
        super().__init__(rungs)
        self.eta = eta

    def passes(self, number: int, rung: int, value: float) -> bool:
        compared = self.compared(rung)
        return len(compared) < self.eta or sum(other > value for other in compared) < max(len(compared) // self.eta, 1)

    def compared(self, rung: int) -> list[float]:
        """The scores at a rung that a candidate has to stand beside."""
        return [score for _, score in heapq.nlargest(self.eta**2, self.seen[rung].items())]
