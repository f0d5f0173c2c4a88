"""Classes that cannot be learnt or scored: absent from a split, crowded out by another, or void."""

from __future__ import annotations

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.summary import class_warnings, void_warned

__all__ = ["check_classes"]


def check_classes(seen: Examined) -> list[Finding]:
    """What a search warns of, too: absent and dominant classes, and much void."""
    if seen.shares is None:
        return []
    bare = [split for split in ("validation", "test") if split in seen.splits and not seen.splits[split]]
    found = [
        Finding("error", f"no image of the {split} split has a mask", (), "Add masks, or take the split away.")
        for split in bare
        if not (split == "validation" and seen.folds)
    ]
    source, shares = seen.members.source, seen.shares
    told = source is not None and void_warned(source)
    own = seen.members.spec.startswith("folder:")
    return found + [Finding("warning", line) for line in class_warnings(shares.classes, shares.pixels, told, own)]
