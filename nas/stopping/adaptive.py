"""Successive halving with a survival rate that adapts to how well each rung predicts the final ranking."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

from nas.stopping.rule import RungRule

__all__ = ["AdaptiveHalving", "optimal_survivors"]

PRIOR_TAU, PRIOR_CANDIDATES = 0.5, 4
"""Prior of a rung's tau, and the number of candidates that it counts as."""

EXPLORATION = 0.5
"""Trial number n is never stopped with probability EXPLORATION / (n + 1)."""

MIN_FIELD = 20
"""The rule seeks the best of the candidates at a rung, or of this many while there are fewer."""

NORMAL = NormalDist()


class AdaptiveHalving(RungRule):
    """Successive halving that keeps few candidates if a rung predicts the final ranking well, and many if not.

    Kendall's tau between the scores at a rung and the final ones measures how well the rung predicts, over the
    candidates that have both. Most of these are survivors of the rung. Their scores are similar, which lowers tau
    (range restriction), so the rule errs on the side of keeping too many.

    To see other candidates as well, a few explore: they are never stopped. Seed and trial number decide which. Their
    expected number is half the logarithm of the number of trials.

    Args:
        rungs: steps at which candidates report.
        seed: seed of the exploration.
    """

    def __init__(self, rungs: tuple[int, ...], seed: int = 0) -> None:
        super().__init__(rungs)
        self.seed = seed

    def passes(self, number: int, rung: int, value: float) -> bool:
        return self.explores(number) or self.count_better(rung, value) < self.survivors(rung)

    def explores(self, number: int) -> bool:
        """Return whether a trial is never stopped."""
        return random.Random(f"{self.seed} {number}").random() < EXPLORATION / (number + 1)

    def survivors(self, rung: int) -> int:
        """Return how many of the candidates at a rung pass, at least 1."""
        tau, pairs = self.kendall_tau(rung)
        if math.isnan(tau):
            tau, pairs = 0.0, 0
        posterior = (max(tau, 0.0) * pairs + PRIOR_TAU * PRIOR_CANDIDATES) / (pairs + PRIOR_CANDIDATES)
        return optimal_survivors(posterior, len(self.scores[rung]), rung / self.rungs[-1])


def optimal_survivors(tau: float, candidates: int, paid: float) -> int:
    """Return how many candidates to keep at a rung to find the best candidate in the least training time.

    Scores at the rung and final scores are modelled as bivariate normal with correlation rho = sin(pi tau / 2), which
    corresponds to Kendall's tau. If a share s survives, the sought candidate, with final score z, survives with
    probability Phi((rho z - q) / sqrt(1 - rho^2)), where q is the score that a share s exceeds. Each candidate costs
    paid + s (1 - paid) of a full training. The optimal share maximizes probability per cost: all candidates for
    tau = 0, where stopping is no better than chance, and the fewer the larger tau.

    Args:
        tau: Kendall's tau between scores at the rung and final scores, 0 to 1.
        candidates: number of candidates at the rung, at least 1.
        paid: share of a full training until the rung.
    """
    rho = math.sin(math.pi / 2 * tau)
    field = max(candidates, MIN_FIELD)
    sought, spread = NORMAL.inv_cdf(field / (field + 1)), math.sqrt(max(1 - rho * rho, 1e-9))

    def probability_per_cost(kept: int) -> float:
        share = kept / (candidates + 1)
        return NORMAL.cdf((rho * sought + NORMAL.inv_cdf(share)) / spread) / (paid + share * (1 - paid))

    kept = 1
    while kept < candidates and probability_per_cost(kept + 1) > probability_per_cost(kept):
        kept += 1
    return kept
