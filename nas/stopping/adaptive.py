"""Halving that learns how truly each rung ranks, and keeps as many candidates as that calls for."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

from nas.stopping.rule import RungRule

__all__ = ["AdaptiveHalving", "worth_keeping"]

TRUST, WEIGHT = 0.5, 4
"""What a rung's tau is taken to be before anything is known, and how many candidates that belief is worth."""

EXPLORED = 0.5
"""Trial number n trains to its end, whatever its scores, with the chance of this over n + 1."""

FIELD = 20
"""What is looked for is the best of the candidates seen, or of so many while there are fewer."""

NORMAL = NormalDist()


class AdaptiveHalving(RungRule):
    """Of the candidates at a rung the best go on: few where rungs have ranked truly, many where they have not.

    How truly a rung ranks is Kendall's tau between its order and that of the final scores, over the candidates that
    have both. Most of these are survivors of the rung, who are more alike than candidates are, which makes their
    order less certain (range restriction): tau is understated, so the rule errs by keeping too many. To see others
    as well, a few candidates are let on whatever their scores. The seed and the trial's number decide which; there
    are fewer and fewer of them, half the logarithm of the number of trials in all.
    """

    def __init__(self, rungs: tuple[int, ...], seed: int = 0) -> None:
        super().__init__(rungs)
        self.seed = seed

    def passes(self, number: int, rung: int, value: float) -> bool:
        return self.explores(number) or self.better(rung, value) < self.kept(rung)

    def explores(self, number: int) -> bool:
        """Whether a trial trains to its end whatever its scores."""
        return random.Random(f"{self.seed} {number}").random() < EXPLORED / (number + 1)

    def kept(self, rung: int) -> int:
        """How many of the candidates seen at a rung are good enough to go on; at least one."""
        tau, pairs = self.agreement(rung)
        if math.isnan(tau):
            tau, pairs = 0.0, 0
        believed = (max(tau, 0.0) * pairs + TRUST * WEIGHT) / (pairs + WEIGHT)
        return worth_keeping(believed, len(self.seen[rung]), rung / self.rungs[-1])


def worth_keeping(tau: float, seen: int, paid: float) -> int:
    """How many of the best at a rung to keep, so as to find the most of the best candidates for one's training time.

    A rung's score and the final one are taken as normal with the correlation sin(pi tau / 2), which is Kendall's tau
    of a normal pair. If the best share s goes on, what is looked for, of final score z, is among them with the chance
    Phi((rho z - q) / sqrt(1 - rho^2)), q being the rung score that a share s exceeds; a candidate costs
    paid + s (1 - paid) of a full training. The share is that of the largest chance for its cost: all of them at tau 0,
    where stopping is as good as a coin, and the fewer the truer the rung.

    Args:
        tau: between a rung's order and the final one, 0 to 1.
        seen: candidates at the rung so far, at least one.
        paid: the part of a full training that a candidate at the rung has had.
    """
    rho = math.sin(math.pi / 2 * tau)
    field = max(seen, FIELD)
    sought, spread = NORMAL.inv_cdf(field / (field + 1)), math.sqrt(max(1 - rho * rho, 1e-9))

    def found(kept: int) -> float:
        share = kept / (seen + 1)
        return NORMAL.cdf((rho * sought + NORMAL.inv_cdf(share)) / spread) / (paid + share * (1 - paid))

    kept = 1
    while kept < seen and found(kept + 1) > found(kept):
        kept += 1
    return kept
