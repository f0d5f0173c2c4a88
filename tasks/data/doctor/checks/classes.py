"""Check for classes that cannot be learnt or scored: absent from a split, dominated by another, or void."""

from __future__ import annotations

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.summary import class_warnings, void_warned

__all__ = ["check_classes"]


def check_classes(examined: Examined) -> list[Finding]:
    """Find absent and dominant classes and a large share of void; a search warns of them too."""
    if examined.shares is None:
        return []
    empty = [split for split in ("validation", "test") if split in examined.splits and not examined.splits[split]]
    found = [
        Finding("error", f"no image of the {split} split has a mask", (), "Add masks, or remove the split.")
        for split in empty
        if not (split == "validation" and examined.folds)
    ]
    source, shares = examined.members.source, examined.shares
    warned = source is not None and void_warned(source)
    own = examined.members.spec.startswith("folder:")
    return found + [Finding("warning", line) for line in class_warnings(shares.classes, shares.pixels, warned, own)]
