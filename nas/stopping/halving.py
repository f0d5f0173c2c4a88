"""Asynchronous successive halving."""

from __future__ import annotations

import heapq

from nas.stopping.rule import RungRule

__all__ = ["AsyncHalving"]


class AsyncHalving(RungRule):
    """Asynchronous successive halving among the latest candidates (after ASHA, Li et al. 2020).

    A candidate passes a rung if it is among the best 1 / eta of the latest `eta ** 2` candidates, by trial number.
    The first `eta - 1` candidates at a rung pass, and so does the best so far.

    ASHA compares with all earlier candidates. With a sampler that learns, candidates improve, and most late ones would
    be among the best third of all: few would be stopped, and late candidates would cost several times the early ones.
    """

    def __init__(self, rungs: tuple[int, ...], eta: int = 3) -> None:
        super().__init__(rungs)
        self.eta = eta

    def passes(self, number: int, rung: int, value: float) -> bool:
        others = self.competitors(rung)
        return len(others) < self.eta or sum(other > value for other in others) < max(len(others) // self.eta, 1)

    def competitors(self, rung: int) -> list[float]:
        """Return the scores at a rung that a candidate is compared with, its own included."""
        return [score for _, score in heapq.nlargest(self.eta**2, self.scores[rung].items())]
