"""Stopping of candidates whose probability of a new best score does not justify the rest of their training."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import pairwise
from statistics import NormalDist

from nas.stopping.rule import RungRule

__all__ = ["CurveRule", "probability_of_new_best"]

MAX_PAIRS = 100
"""Maximum number of complete candidates that the prediction uses, the latest ones."""

MIN_PAIRS = 3
"""Minimum number of complete candidates before any is stopped: a line through two points has no residuals."""

NORMAL = NormalDist()


class CurveRule(RungRule):
    """Stops a candidate if its probability of a new best final score is low for the cost of finishing its training.

    The probability is predicted from the score at the rung, by the candidates that are complete. The threshold is the
    rate of the search so far: the last of k candidates is the best of them with probability 1 / k, so a full training
    has bought 1 / k new best scores on average. A candidate with a lower rate makes room for a new one. If a rung
    predicts nothing, all candidates have about that rate, and most continue. The best at a rung always passes.

    The prediction uses ranks, so the scale and shape of the curves do not matter, and a diverged training counts as no
    worse than a poor one. The complete candidates were selected by their scores at rungs. Selection by the predictor
    does not bias the regression line, so no exploration is needed.
    """

    def passes(self, number: int, rung: int, value: float) -> bool:
        pairs = self.score_pairs(rung, MAX_PAIRS)
        if len(pairs) < MIN_PAIRS or not self.count_better(rung, value):
            return True
        return probability_of_new_best(pairs, value) * self._total_steps() >= self.rungs[-1] - rung

    def _total_steps(self) -> int:
        """Count the steps of all candidates so far."""
        return sum((rung - before) * len(self.scores[rung]) for before, rung in pairwise((0, *self.rungs)))


def probability_of_new_best(pairs: list[tuple[float, float]], value: float) -> float:
    """Return the probability that a candidate's final score exceeds those of all complete candidates.

    Fits a line by least squares between the normal scores of the two ranks. The probability is that of Student's t
    distribution with the line's prediction error.

    Args:
        pairs: score at the rung and final score of at least three complete candidates.
        value: the candidate's score at the rung.
    """
    from scipy.special import stdtr

    n = len(pairs)
    early, final = sorted(early for early, _ in pairs), sorted(final for _, final in pairs)
    xs, ys = [_normal_score(early, x) for x, _ in pairs], [_normal_score(final, y) for _, y in pairs]
    mean_x, mean_y = math.fsum(xs) / n, math.fsum(ys) / n
    width = math.fsum((x - mean_x) ** 2 for x in xs)
    if not width:  # equal scores at the rung predict nothing
        return 1.0
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / width
    residual = math.fsum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    offset = _normal_score(early, value) - mean_x
    error = math.sqrt(residual / (n - 2) * (1 + 1 / n + offset * offset / width))
    lead = mean_y + slope * offset - max(ys)
    return float(stdtr(n - 2, lead / error)) if error else float(lead >= 0)


def _normal_score(ordered: list[float], value: float) -> float:
    """Return the normal quantile of a value's rank among ordered values."""
    rank = (bisect_left(ordered, value) + bisect_right(ordered, value)) / 2
    return NORMAL.inv_cdf((rank + 0.5) / (len(ordered) + 1))
