"""Counts and durations as messages write them."""

from __future__ import annotations

__all__ = ["counted", "duration"]


def counted(count: int, thing: str) -> str:
    """Format a count with its noun: `1 worker`, `2 workers`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def duration(seconds: float) -> str:
    """Format seconds as `34.1 s`, `12 min` or `3 h 20 min`."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
