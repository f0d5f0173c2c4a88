"""One calm line that says how far a search is: a live bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

__all__ = ["Progress"]

log = logging.getLogger("nas")

LOG_EVERY = 30.0

FULL_TRUST = 3.0
"""The observed pace alone counts once a third of everything is done: 1 / FULL_TRUST."""


class Progress:
    """Counts how trials ended and shows the best score and the time left, on standard error."""

    def __init__(
        self,
        total: int,
        what: str,
        expected: float | None = None,
        after: float = 0.0,
        limit: Callable[[], float] = lambda: float("inf"),
    ) -> None:
        """Start to count.

        Args:
            total: how many are to end.
            what: what is counted.
            expected: seconds that all of them were expected to take, if that is known.
            after: seconds that what follows is expected to take.
            limit: seconds until the search has to end.
        """
        from tqdm import tqdm

        self.total, self.what = total, what
        self._expected, self._after, self._limit = expected, after, limit
        self.ended: Counter[str] = Counter()
        self.best: float | None = None
        self._started = self._moved = self._logged = time.monotonic()
        self._first: int | None = None
        self._reached = 0.0
        shape = "{desc} {n_fmt}/{total_fmt} |{bar}| {elapsed}{postfix}"
        live = sys.stderr.isatty()
        self._bar: Any = tqdm(total=total, desc=what, bar_format=shape, ncols=80, leave=False) if live else None

    def note(self, how: str, value: float | None) -> None:
        """A trial ended."""
        self.ended[how] += 1
        if value is not None and (self.best is None or value > self.best):
            self.best = value

    def taken_up(self) -> None:
        """A trial that had been pruned goes on."""
        self.ended["pruned"] -= 1

    def show(self, done: int, running: int, note: str = "", underway: float = 0.0) -> None:
        """Bring the line up to date.

        Args:
            done: trials that ended since the start of the run, earlier sessions included.
            running: trials that are being trained.
            note: what else is to be said.
            underway: how much of the running ones is done, each counting from 0 to 1.
        """
        note = f", {note}" if note else ""
        self.total = max(self.total, done)
        if self._first is None:
            self._first = done
        if done + underway != self._reached:
            self._reached, self._moved = done + underway, time.monotonic()
        if self._bar is not None:
            self._bar.total, self._bar.n = self.total, done
            self._bar.set_postfix_str(f"{self._left()} left, {self._best()}{note}", refresh=False)
            self._bar.refresh()
        elif time.monotonic() - self._logged >= LOG_EVERY:
            self._logged = time.monotonic()
            far = f"{self.what} {done}/{self.total}, {running} running"
            log.info("%s, %s, %s left%s", far, self._best(), self._left(), note)

    def close(self) -> None:
        """Leave the line."""
        if self._bar is not None:
            self._bar.close()

    def summary(self) -> str:
        """How the trials ended."""
        return ", ".join(f"{count} {how}" for how, count in sorted(self.ended.items()) if count)

    def _best(self) -> str:
        return "no score yet" if self.best is None else f"best {self.best:.3f}"

    def _left(self) -> str:
        """The time left until the search ends, `?` while nothing tells it."""
        from tqdm import tqdm

        seconds = min(self._seconds_left(), self._limit())
        return "?" if seconds == float("inf") else tqdm.format_interval(max(seconds, 0.0))

    def _seconds_left(self) -> float:
        """The seconds left as they looked when something last moved on, less the time since.

        What was expected gives way to what is observed, since the first trials are no sample of all.
        """
        done, span = self._reached - (self._first or 0), self._moved - self._started
        whole = self.total - (self._first or 0)
        observed = span / done * (self.total - self._reached) if done > 0 else None
        if self._expected is not None:
            planned = max(self._expected - span, 0.0)
            seen = min(FULL_TRUST * done / whole, 1.0) if whole > 0 else 1.0
            observed = planned if observed is None else seen * observed + (1 - seen) * planned
        if observed is None:
            return float("inf")
        return max(observed - (time.monotonic() - self._moved), 0.0) + self._after
