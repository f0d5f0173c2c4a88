"""Asynchronous successive halving for several objectives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas.runs.objectives import crowded_comparison_ranks
from nas.stopping.rule import RungRule

__all__ = ["ParetoHalving"]


class ParetoHalving(RungRule):
    """Asynchronous successive halving by Pareto fronts.

    A candidate passes a rung if it is among the best 1 / eta so far, by front, and within a front by crowding distance.
    Small networks therefore compete with networks of their size. The best score so far always passes.

    Args:
        rungs: steps at which candidates report.
        costs: function from a trial number to its costs, smaller is better.
        eta: reduction factor.
    """

    def __init__(self, rungs: tuple[int, ...], costs: Callable[[int], tuple[float, ...]], eta: int = 3) -> None:
        super().__init__(rungs)
        self.costs, self.eta = costs, eta

    def passes(self, number: int, rung: int, value: float) -> bool:
        scores = self.scores[rung]
        if len(scores) < self.eta or self.count_better(rung, value) == 0:
            return True
        points = np.array([(score, *(-cost for cost in self.costs(other))) for other, score in scores.items()])
        place = crowded_comparison_ranks(points)[list(scores).index(number)]
        return bool(place < max(len(scores) // self.eta, 1))
