"""Classes that cannot be learnt or scored: absent from a split, crowded out by another, or void."""

from __future__ import annotations

from tasks.data.doctor.examined import Examined
from tasks.data.doctor.finding import Finding
from tasks.data.summary import class_warnings, void_told

__all__ = ["check_classes"]


def check_classes(seen: Examined) -> list[Finding]:
    """What a search warns of, too: absent and dominant classes, and much void."""
    if seen.shares is None:
        return []
    source = seen.members.source
    void = "told" if source is not None and void_told(source) else ""
    return [Finding("warning", line) for line in class_warnings(seen.shares.classes, seen.shares.pixels, void)]
