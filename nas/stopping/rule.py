"""Stopping rules: their interface, the rungs, and the scores reported at each rung."""

from __future__ import annotations

import math
from typing import Protocol

__all__ = ["RungRule", "StoppingRule", "rungs_of"]

MAX_TAU_PAIRS = 100
"""Maximum number of candidates that Kendall's tau is computed from, the latest ones: its time is quadratic."""


EARLIEST_RUNG = 80
"""Minimum step of the first rung. By this step, a plain network predicts more than one class and is better than a
class map by location (`benchmarks/results/learning_floor.md`); scores before it say little."""


def rungs_of(steps: int, eta: int = 3, count: int = 3) -> tuple[int, ...]:
    """Return `count` rungs with a constant ratio; the last one is `steps`.

    The ratio is `eta`, or less if the first rung would be before EARLIEST_RUNG. Trainings too short for that keep the
    ratio `eta`.
    """
    first = steps / eta ** (count - 1)
    if steps >= eta * EARLIEST_RUNG:
        first = max(first, EARLIEST_RUNG)
    ratio = (steps / first) ** (1 / (count - 1))
    rungs = {max(round(steps / ratio**i), 1) for i in range(count)}
    return tuple(sorted(rungs))


class StoppingRule(Protocol):
    """Decides at each rung whether a candidate continues. It never waits for other candidates, so no worker idles.

    A decision depends only on the recorded scores, in any order, and on the trial's number. A resumed search
    therefore makes the same decisions.

    Attributes:
        rungs: steps at which a candidate reports, ascending; the last one is the end of its training.
        promotes: whether the state of a stopped candidate is kept, so that it can continue if it passes later.
    """

    rungs: tuple[int, ...]
    promotes: bool

    def record(self, number: int, rung: int, value: float) -> None:
        """Record the score of a trial, by number, at a rung, as reported in an earlier session."""

    def goes_on(self, number: int, rung: int, value: float) -> bool:
        """Record a score, larger is better, and return whether the candidate continues."""

    def passes(self, number: int, rung: int, value: float) -> bool:
        """Return whether a candidate passes a rung before the last; its score must have been recorded."""

    def describe(self) -> str:
        """Describe in a few words how well the rungs predict the final ranking."""


class RungRule:
    """Base class of rules that decide in `passes`.

    Every candidate passes the last rung and steps that are not rungs. A score of NaN never passes and is not recorded.
    """

    promotes = False

    def __init__(self, rungs: tuple[int, ...]) -> None:
        self.rungs = rungs
        self.scores: dict[int, dict[int, float]] = {rung: {} for rung in rungs}
        """Recorded scores, by rung and trial number."""
        self._taus: dict[int, tuple[int, float]] = {}

    def record(self, number: int, rung: int, value: float) -> None:
        """Record the score of a trial, by number, at a rung, as reported in an earlier session."""
        if rung in self.scores and not math.isnan(value):
            self.scores[rung][number] = value

    def goes_on(self, number: int, rung: int, value: float) -> bool:
        """Record a score, larger is better, and return whether the candidate continues."""
        self.record(number, rung, value)
        if rung not in self.scores or rung == self.rungs[-1]:
            return True
        return not math.isnan(value) and self.passes(number, rung, value)

    def passes(self, number: int, rung: int, value: float) -> bool:
        """Return whether a candidate passes a rung before the last; its score must have been recorded."""
        raise NotImplementedError

    def count_better(self, rung: int, value: float) -> int:
        """Count the scores at a rung that are above a value."""
        return sum(other > value for other in self.scores[rung].values())

    def kendall_tau(self, rung: int) -> tuple[float, int]:
        """Return Kendall's tau between the scores at a rung and the final ones, and the number of candidates.

        Tau is NaN while it is unknown.
        """
        count = len(self.scores[rung].keys() & self.scores[self.rungs[-1]].keys())
        if count > 1 and self._taus.get(rung, (0, 0.0))[0] != count:
            from scipy.stats import kendalltau

            tau = kendalltau(*zip(*self.score_pairs(rung, MAX_TAU_PAIRS), strict=True)).statistic
            self._taus[rung] = count, float(tau)
        return self._taus.get(rung, (0, math.nan))[1], min(count, MAX_TAU_PAIRS)

    def describe(self) -> str:
        """Describe Kendall's tau of the rungs before the last: `tau .24, .61 of 12`; empty while unknown."""
        found = [self.kendall_tau(rung) for rung in self.rungs[:-1]]
        known = [tau for tau, pairs in found if pairs > 2 and not math.isnan(tau)]
        if not known:
            return ""
        return "tau " + ", ".join(f"{tau:.2f}".replace("0.", ".") for tau in known) + f" of {found[-1][1]}"

    def score_pairs(self, rung: int, limit: int) -> list[tuple[float, float]]:
        """Return score at a rung and final score of the candidates that have both: the latest `limit` by number."""
        early, final = self.scores[rung], self.scores[self.rungs[-1]]
        return [(early[number], final[number]) for number in sorted(early.keys() & final.keys())[-limit:]]
