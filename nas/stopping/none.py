"""No early stopping."""

from __future__ import annotations

from nas.stopping.rule import RungRule

__all__ = ["NoStopping"]


class NoStopping(RungRule):
    """Every candidate trains to its end, and reports at its rungs on the way."""

    def goes_on(self, number: int, rung: int, value: float) -> bool:
        """Record a score; yes."""
        self.record(number, rung, value)
        return True
