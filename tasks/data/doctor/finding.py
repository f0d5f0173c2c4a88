"""A finding: one thing that is wrong, or worth knowing, about a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Finding", "Severity", "named"]

Severity = Literal["error", "warning", "note"]

NAMED = 3


@dataclass(frozen=True)
class Finding:
    """What is wrong, where, and what to do about it.

    Attributes:
        severity: "error" stops a search or makes its scores wrong, "warning" makes it worse, "note" is worth knowing.
        what: one sentence.
        where: every file or class it is about, none for the whole set.
        mend: what to do, one sentence; empty where there is nothing to do.
    """

    severity: Severity
    what: str
    where: tuple[str, ...] = ()
    mend: str = ""


def named(where: Iterable[str | Path], most: int = NAMED) -> str:
    """The first few of `where`, and how many more there are."""
    names = [str(each) for each in where]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
