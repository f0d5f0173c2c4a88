"""Wording: how messages say how many there are."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, thing: str) -> str:
    """`1 worker`, `2 workers`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
