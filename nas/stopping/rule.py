"""What a stopping rule is, and what all of ours share: the rungs, and who reported what at them."""

from __future__ import annotations

import math
from typing import Protocol

__all__ = ["RungRule", "StoppingRule", "rungs_of"]

LATEST = 100
"""Candidates from which the agreement of two orders is learnt: the time it takes is quadratic in them."""


EARLIEST = 80
"""The step before which scores say little: by then a plain network predicts more than one class and beats a class map
by location (`benchmarks/results/learning_floor.md`)."""


def rungs_of(steps: int, eta: int = 3, count: int = 3) -> tuple[int, ...]:
    """`count` rungs at equal ratios, the last one being `steps`.

    The ratio is `eta`, and less where the first rung would come before EARLIEST. A training too short for that has
    its rungs at `eta` all the same.
    """
    first = steps / eta ** (count - 1)
    if steps >= eta * EARLIEST:
        first = max(first, EARLIEST)
    ratio = (steps / first) ** (1 / (count - 1))
    rungs = {max(round(steps / ratio**i), 1) for i in range(count)}
    return tuple(sorted(rungs))


class StoppingRule(Protocol):
    """Says at each rung whether a candidate trains on. It waits for nobody, so no worker is ever idle.

    A rule decides from what was recorded and from a trial's number, and in whatever order it was recorded: so a
    search that is resumed goes on as it would have.

    Attributes:
        rungs: the steps at which a candidate reports, ascending; the last one is the end of its training.
        promotes: whether a candidate that was stopped is kept, and goes on once it passes after all.
    """

    rungs: tuple[int, ...]
    promotes: bool

    def record(self, number: int, rung: int, value: float) -> None:
        """Take note of what an earlier sitting saw: a trial's number, the rung, and its score there."""

    def goes_on(self, number: int, rung: int, value: float) -> bool:
        """Record a score (the larger the better) and say whether the candidate trains on."""

    def passes(self, number: int, rung: int, value: float) -> bool:
        """Whether a candidate goes on from a rung before the last; its score is recorded already."""

    def describe(self) -> str:
        """What is known of how truly the rungs rank, in a few words."""


class RungRule:
    """A rule that leaves everything to `passes` but what all rules agree on.

    The last rung and what is no rung let everyone on. A score that is NaN lets nobody on and is not kept.
    """

    promotes = False

    def __init__(self, rungs: tuple[int, ...]) -> None:
        self.rungs = rungs
        self.seen: dict[int, dict[int, float]] = {rung: {} for rung in rungs}
        """Scores by rung and by the trial's number."""
        self._taus: dict[int, tuple[int, float]] = {}

    def record(self, number: int, rung: int, value: float) -> None:
        """Take note of what an earlier sitting saw: a trial's number, the rung, and its score there."""
        if rung in self.seen and not math.isnan(value):
            self.seen[rung][number] = value

    def goes_on(self, number: int, rung: int, value: float) -> bool:
        """Record a score (the larger the better) and say whether the candidate trains on."""
        self.record(number, rung, value)
        if rung not in self.seen or rung == self.rungs[-1]:
            return True
        return not math.isnan(value) and self.passes(number, rung, value)

    def passes(self, number: int, rung: int, value: float) -> bool:
        """Whether a candidate goes on from a rung before the last; its score is recorded already."""
        raise NotImplementedError

    def better(self, rung: int, value: float) -> int:
        """How many scores at a rung are above a value."""
        return sum(other > value for other in self.seen[rung].values())

    def agreement(self, rung: int) -> tuple[float, int]:
        """Kendall's tau between a rung's order and the final one, NaN while unknown, and over how many candidates."""
        there = len(self.seen[rung].keys() & self.seen[self.rungs[-1]].keys())
        if there > 1 and self._taus.get(rung, (0, 0.0))[0] != there:
            from scipy.stats import kendalltau

            tau = kendalltau(*zip(*self.pairs(rung, LATEST), strict=True)).statistic
            self._taus[rung] = there, float(tau)
        return self._taus.get(rung, (0, math.nan))[1], min(there, LATEST)

    def describe(self) -> str:
        """How truly the rungs before the last rank, in a few words: `tau .24, .61 of 12`; empty while unknown."""
        found = [self.agreement(rung) for rung in self.rungs[:-1]]
        known = [tau for tau, pairs in found if pairs > 2 and not math.isnan(tau)]
        if not known:
            return ""
        return "tau " + ", ".join(f"{tau:.2f}".replace("0.", ".") for tau in known) + f" of {found[-1][1]}"

    def pairs(self, rung: int, latest: int) -> list[tuple[float, float]]:
        """Score at a rung and final score of those that have both: the `latest` ones by their numbers."""
        early, final = self.seen[rung], self.seen[self.rungs[-1]]
        return [(early[number], final[number]) for number in sorted(early.keys() & final.keys())[-latest:]]
