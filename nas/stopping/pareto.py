"""Successive halving for several objectives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas.runs.objectives import crowded_comparison_ranks
from nas.stopping.rule import RungRule

__all__ = ["ParetoHalving"]


class ParetoHalving(RungRule):
    """Of the candidates that have reached a rung so far, the best 1 / eta by fronts go on.

    A small network is so compared with those of its size, and is not stopped because large ones score higher.
    Within a front, the more alone a candidate is the better. The best score so far always goes on.

    Args:
        rungs: the steps at which candidates report.
        costs: of a trial by its number, the smaller the better.
        eta: one in how many goes on.
    """

    def __init__(self, rungs: tuple[int, ...], costs: Callable[[int], tuple[float, ...]], eta: int = 3) -> None:
        super().__init__(rungs)
        self.costs, self.eta = costs, eta

    def passes(self, number: int, rung: int, value: float) -> bool:
        seen = self.seen[rung]
        if len(seen) < self.eta or self.better(rung, value) == 0:
            return True
        points = np.array([(score, *(-cost for cost in self.costs(other))) for other, score in seen.items()])
        place = crowded_comparison_ranks(points)[list(seen).index(number)]
        return bool(place < max(len(seen) // self.eta, 1))
