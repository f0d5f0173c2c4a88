"""Classes that cannot be learnt or scored: absent from a split, crowded out by another, or void."""

from __future__ import annotations

from tasks.data.doctor.examined import Examined
from tasks.data.doctor.finding import Finding
from tasks.data.summary import class_warnings

__all__ = ["check_classes"]


def check_classes(seen: Examined) -> list[Finding]:
    """What a search warns of, too: absent and dominant classes, and much void."""
    if seen.shares is None:
        return []
    void_told = any("read as void" in told for told in seen.members.told)
    return [
        Finding("warning", warning)
        for warning in class_warnings(seen.members.spec, seen.shares.classes, seen.shares.pixels)
        if not (void_told and "are void" in warning)
    ]
