"""A finding: a problem of a data set, or something worth knowing about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Finding", "Severity", "listed"]

Severity = Literal["error", "warning", "note"]

MOST_LISTED = 3
"""Largest number of files or classes that a line lists."""


@dataclass(frozen=True)
class Finding:
    """A problem, where it is, and how to fix it.

    Attributes:
        severity: an "error" stops a search or makes its scores wrong, a "warning" lowers them, a "note" is information.
        what: the problem, in a sentence.
        where: the files or classes that have it; empty for the whole data set.
        fix: what to do, in a sentence; empty if there is nothing to do.
    """

    severity: Severity
    what: str
    where: tuple[str, ...] = ()
    fix: str = ""


def listed(where: Iterable[str | Path], most: int = MOST_LISTED) -> str:
    """List the first few of `where`, and say how many more there are."""
    names = [str(each) for each in where]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
