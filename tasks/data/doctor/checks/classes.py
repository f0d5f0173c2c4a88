"""Classes that cannot be learnt or scored: absent from a split, crowded out by another, or void."""

from __future__ import annotations

import numpy as np

from tasks.data.doctor.examined import ClassShares
from tasks.data.doctor.finding import Finding

__all__ = ["check_classes"]

MUCH_VOID = 0.2
"""Share of void from which a class may be hidden in it."""

NEARLY_ALL = 0.99
"""Share from which one class makes the others hard to learn."""


def check_classes(shares: ClassShares) -> list[Finding]:
    """Absent and dominant classes, and too much void."""
    return [*_absent(shares), *_void(shares), *_dominant(shares)]


def _absent(shares: ClassShares) -> list[Finding]:
    shown = {split: counts[:-1] > 0 for split, counts in shares.pixels.items()}
    names = np.array(shares.classes, object)
    ever = np.any(list(shown.values()), axis=0)
    found = []
    if not ever.all():
        found.append(
            Finding(
                "warning",
                "Classes that no mask shows",
                tuple(names[~ever]),
                "Take them out of classes.json, or correct their values there: they can be neither learnt nor scored.",
            )
        )
    if "labelled" not in shown:
        return found
    untaught = ever & ~shown["labelled"]
    if untaught.any():
        where = ["/".join(s for s in shown if s != "labelled" and shown[s][i]) for i in np.flatnonzero(untaught)]
        found.append(
            Finding(
                "warning",
                "Classes that no labelled image shows, though others do",
                tuple(f"{name} (only in {only})" for name, only in zip(names[untaught], where, strict=True)),
                "Label images that show them, or name such images in splits/train.txt.",
            )
        )
    for split in ("validation", "test"):
        if split not in shown:
            continue
        unseen = shown["labelled"] & ~shown[split]
        if unseen.any():
            found.append(
                Finding(
                    "note",
                    f"Classes that no {split} image shows: their scores are unknown there",
                    tuple(names[unseen]),
                )
            )
    return found


def _void(shares: ClassShares) -> list[Finding]:
    total = shares.total
    share = total[-1] / max(1, total.sum())
    if share <= MUCH_VOID:
        return []
    return [
        Finding(
            "warning",
            f"{share:.0%} of the masks' pixels are void and teach nothing",
            mend="If the value 255 (or a colour without a class) is a class of yours, name it in classes.json.",
        )
    ]


def _dominant(shares: ClassShares) -> list[Finding]:
    counts = shares.total[:-1]
    share = counts.max() / max(1, counts.sum())
    if share <= NEARLY_ALL:
        return []
    name = shares.classes[int(counts.argmax())]
    return [
        Finding(
            "warning",
            f"{share:.2%} of the labelled pixels are {name}",
            mend="Crop the photos around what matters, or work at a larger --size: a network that always says "
            f"{name} is right nearly everywhere.",
        )
    ]
