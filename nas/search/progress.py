"""One calm line that says how far a search is: a live bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from typing import Any

__all__ = ["Progress"]

log = logging.getLogger("nas")

LOG_EVERY = 30.0


class Progress:
    """Counts how trials ended and shows the best score and the time left, on standard error."""

    def __init__(self, total: int, what: str, unit: str = "candidate") -> None:
        from tqdm import tqdm

        self.total, self.what = total, what
        self.ended: Counter[str] = Counter()
        self.best: float | None = None
        self._started = time.monotonic()
        self._first: int | None = None
        self._logged = self._started
        live = sys.stderr.isatty()
        self._bar: Any = tqdm(total=total, desc=what, unit=unit, ncols=80, leave=False) if live else None

    def note(self, how: str, value: float | None) -> None:
        """A trial ended."""
        self.ended[how] += 1
        if value is not None and (self.best is None or value > self.best):
            self.best = value

    def taken_up(self) -> None:
        """A trial that had been pruned goes on."""
        self.ended["pruned"] -= 1

    def show(self, done: int, running: int, note: str = "") -> None:
        """Bring the line up to date; `done` counts from the start of the run, earlier sessions included."""
        note = f", {note}" if note else ""
        if self._first is None:
            self._first = done
        if self._bar is not None:
            self._bar.n = done
            self._bar.set_postfix_str(self._best() + note, refresh=False)
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
        from tqdm import tqdm

        done = (self._bar.n if self._bar is not None else sum(self.ended.values())) - (self._first or 0)
        if done <= 0:
            return "?"
        each = (time.monotonic() - self._started) / done
        return tqdm.format_interval(each * (self.total - (self._first or 0) - done))
