"""No early stopping."""

from __future__ import annotations

from nas.stopping.rule import RungRule

__all__ = ["NoStopping"]


class NoStopping(RungRule):
    """Never stops a candidate; scores at the rungs are recorded."""

    def goes_on(self, number: int, rung: int, value: float) -> bool:
        """Record a score and return True."""
        self.record(number, rung, value)
        return True
