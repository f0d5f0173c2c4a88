"""Early stopping: asynchronous successive halving over rungs."""

from __future__ import annotations

from bisect import insort

__all__ = ["AsyncHalving", "rungs_of"]


def rungs_of(steps: int, eta: int = 3, count: int = 3) -> tuple[int, ...]:
    """`count` rungs, each `eta` times the one before, the last one being `steps`."""
    rungs = {max(round(steps / eta**i), 1) for i in range(count)}
    return tuple(sorted(rungs))


class AsyncHalving:
    """Of the candidates that have reached a rung so far, the best 1 / eta go on (ASHA, Li et al. 2020).

    A decision waits for nobody, so no worker is ever idle. The first `eta - 1` candidates at a rung go on:
    they have nothing to be compared with yet.
    """

    def __init__(self, rungs: tuple[int, ...], eta: int = 3) -> None:
        self.rungs, self.eta = rungs, eta
        self._values: dict[int, list[float]] = {rung: [] for rung in rungs}

    def record(self, rung: int, value: float) -> None:
        """Take note of a score at a rung (also those of an earlier session of the same run)."""
        if rung in self._values:
            insort(self._values[rung], value)

    def goes_on(self, rung: int, value: float) -> bool:
        """Record a candidate's score at a rung and say whether it goes on."""
        self.record(rung, value)
        if rung not in self._values or rung == self.rungs[-1]:
            return True
        seen = self._values[rung]
        if len(seen) < self.eta:
            return True
        return value >= seen[-max(len(seen) // self.eta, 1)]
