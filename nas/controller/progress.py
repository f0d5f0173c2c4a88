"""The progress of a search or a training: a live bar on a terminal, or a line in the log every half minute."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

__all__ = ["Progress", "StepProgress"]

log = logging.getLogger("nas")

LOG_EVERY = 30.0
"""Seconds."""

BAR = "{desc} {n_fmt}/{total_fmt} |{bar}| {elapsed}{postfix}"

OBSERVED_WEIGHT = 3.0
"""The weight of the observed pace is this many times the share that is done, and 1 at most. The expected pace has the
rest."""


class Progress:
    """Counts ended trials, and shows the best score and the time left on standard error."""

    def __init__(
        self,
        total: int,
        what: str,
        expected: float | None = None,
        after: float = 0.0,
        limit: Callable[[], float] = lambda: float("inf"),
    ) -> None:
        """Start the clock.

        Args:
            total: number of trials.
            what: first word of the line.
            expected: expected seconds of all trials, if known.
            after: expected seconds of the parts of the search that follow.
            limit: returns the seconds until the search must end.
        """
        from tqdm import tqdm

        self.total, self.what = total, what
        self._expected, self._after, self._limit = expected, after, limit
        self.ended: Counter[str] = Counter()
        self.cached = 0
        self.best: float | None = None
        self._started = self._moved = self._logged = time.monotonic()
        self._first: int | None = None
        self._reached = 0.0
        live = sys.stderr.isatty()
        self._bar: Any = tqdm(total=total, desc=what, bar_format=BAR, ncols=80, leave=False) if live else None

    def note(self, outcome: str, value: float | None, cached: bool = False) -> None:
        """Count a trial that ended.

        Args:
            value: its score, None where it has none to compare.
            cached: whether it was trained on cached features.
        """
        self.ended[outcome] += 1
        self.cached += cached
        if value is not None and (self.best is None or value > self.best):
            self.best = value

    def resumed(self, cached: bool = False) -> None:
        """Take back the count of a pruned trial that continues; `cached` as for `note`."""
        self.ended["pruned"] -= 1
        self.cached -= cached

    def show(self, done: int, running: int, note: str = "", underway: float = 0.0) -> None:
        """Update the line.

        Args:
            done: trials that have ended, earlier sessions included.
            running: trials that are being trained.
            note: text to append.
            underway: how much of the running trials is done, each counting from 0 to 1.
        """
        cached = f"{self.cached} cached" if self.cached else ""
        note = "".join(f", {text}" for text in (cached, note) if text)
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
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def summary(self) -> str:
        """Numbers of trials by outcome, and of those trained on cached features."""
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.ended.items()) if count)
        return outcomes + (f"; {self.cached} trained on cached features" if self.cached else "")

    def _best(self) -> str:
        return "no score yet" if self.best is None else f"best {self.best:.3f}"

    def _left(self) -> str:
        """The time left until the search ends, `?` while it is unknown."""
        from tqdm import tqdm

        seconds = min(self._seconds_left(), self._limit())
        return "?" if seconds == float("inf") else tqdm.format_interval(max(seconds, 0.0))

    def _seconds_left(self) -> float:
        """The seconds left, estimated at the last progress, minus the time since.

        The observed pace replaces the expected one gradually, since the first trials are not representative.
        """
        done, span = self._reached - (self._first or 0), self._moved - self._started
        whole = self.total - (self._first or 0)
        observed = span / done * (self.total - self._reached) if done > 0 else None
        if self._expected is not None:
            planned = max(self._expected - span, 0.0)
            weight = min(OBSERVED_WEIGHT * done / whole, 1.0) if whole > 0 else 1.0
            observed = planned if observed is None else weight * observed + (1 - weight) * planned
        if observed is None:
            return float("inf")
        return max(observed - (time.monotonic() - self._moved), 0.0) + self._after


class StepProgress:
    """Shows the steps of a training and the time left on standard error, or in the log every half minute."""

    def __init__(self, total: int, done: int, what: str) -> None:
        """Start the clock.

        Args:
            total: number of steps.
            done: steps that an earlier session has trained.
            what: first word of the line.
        """
        from tqdm import tqdm

        self._total, self._first, self._what = total, done, what
        self._started = self._logged = time.monotonic()
        live = sys.stderr.isatty()
        self._bar: Any = tqdm(total=total, desc=what, bar_format=BAR, ncols=80, leave=False) if live else None

    def show(self, done: int) -> None:
        """Update the line after a number of steps."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self._left(done)} left", refresh=False)
            self._bar.update(done - self._bar.n)
        elif time.monotonic() - self._logged >= LOG_EVERY:
            self._logged = time.monotonic()
            log.info("%s %d/%d, %s left", self._what, done, self._total, self._left(done))

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def _left(self, done: int) -> str:
        """The time left at the mean pace of this session, with all that is done between steps."""
        from tqdm import tqdm

        if done <= self._first:
            return "?"
        pace = (time.monotonic() - self._started) / (done - self._first)
        return tqdm.format_interval(pace * (self._total - done))
