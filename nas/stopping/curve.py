"""Stopping of candidates whose chance to end above the best so far is not worth the rest of their training."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import pairwise
from statistics import NormalDist

from nas.stopping.rule import RungRule

__all__ = ["CurveRule", "chance_to_lead"]

LATEST = 100
"""Complete candidates to learn from."""

LEAST = 3
"""Complete candidates without which nobody is stopped: a line goes through any two."""

NORMAL = NormalDist()


class CurveRule(RungRule):
    """Each candidate's chance to end above the best so far is foretold from its rung by those that are complete.

    It goes on if that chance is worth the rest of its training: the last of k candidates is the best of them with the
    chance 1 / k, so that a full training's worth of time has so far bought new leaders at the rate of one in all the
    training there has been; a candidate of a lower rate makes room for a fresh one. Where a rung says nothing, all
    are about at that rate, and most go on. The best so far at a rung always does.

    What is foretold is the place among the complete ones, so neither the scale nor the shape of the curves matters,
    and a training that ran away weighs no more than a poor one. The complete ones were chosen by their scores at
    rungs, which leaves the line from such a score to the final one where it is, so there is no need to explore.
    """

    def passes(self, number: int, rung: int, value: float) -> bool:
        pairs = self.pairs(rung, LATEST)
        if len(pairs) < LEAST or not self.better(rung, value):
            return True
        return chance_to_lead(pairs, value) * self._spent() >= self.rungs[-1] - rung

    def _spent(self) -> int:
        """Steps trained so far by all candidates."""
        return sum((rung - before) * len(self.seen[rung]) for before, rung in pairwise((0, *self.rungs)))


def chance_to_lead(pairs: list[tuple[float, float]], value: float) -> float:
    """The chance that a candidate's final score is above those of the complete ones.

    A line is fitted by least squares from one normal score to the other, that is, from the place in one order to the
    place in the other; the chance is that of Student's t with the line's standard error for a new point.

    Args:
        pairs: of each complete candidate, the score at the rung and the final one; three at least.
        value: the candidate's score at the rung.
    """
    from scipy.special import stdtr

    n = len(pairs)
    early, final = sorted(early for early, _ in pairs), sorted(final for _, final in pairs)
    xs, ys = [_normal_score(early, x) for x, _ in pairs], [_normal_score(final, y) for _, y in pairs]
    mean_x, mean_y = math.fsum(xs) / n, math.fsum(ys) / n
    width = math.fsum((x - mean_x) ** 2 for x in xs)
    if not width:  # all alike at the rung: it says nothing
        return 1.0
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / width
    left = math.fsum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    away = _normal_score(early, value) - mean_x
    error = math.sqrt(left / (n - 2) * (1 + 1 / n + away * away / width))
    ahead = mean_y + slope * away - max(ys)
    return float(stdtr(n - 2, ahead / error)) if error else float(ahead >= 0)


def _normal_score(ordered: list[float], value: float) -> float:
    """Where a value stands among others, as a quantile of the normal distribution."""
    place = (bisect_left(ordered, value) + bisect_right(ordered, value)) / 2
    return NORMAL.inv_cdf((place + 0.5) / (len(ordered) + 1))
