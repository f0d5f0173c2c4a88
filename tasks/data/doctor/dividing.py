"""Which images are labelled, unlabelled, ranked on and tested on, and how many pixels of each class they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tasks.data.doctor.examined import ClassShares, Examined
from tasks.data.doctor.look import class_pixels
from tasks.data.labels import choose_labels
from tasks.data.sets import Item

__all__ = ["divide"]

ALL = "all masks"
"""The only split of a set that a search refuses."""


def divide(seen: Examined, labels: str | None = None) -> Examined:
    """What was seen with its splits as a search would make them, and pixels by class and split.

    Raises:
        UserError: `labels` cannot be read, or asks for none or for more than there are.
    """
    source = seen.members.source
    pixels = _pixels(seen)
    if source is None:
        shares = None
        if pixels and seen.members.classes:
            shares = ClassShares(seen.members.classes, {ALL: sum(pixels.values(), np.zeros(1, np.int64))})
        return replace(seen, shares=shares)

    def presence(items: Sequence[Item]) -> np.ndarray:
        return np.array([pixels[item.name][:-1] > 0 for item in items])

    few = choose_labels(source, labels, 0, presence)
    named = {item.name for item in few}
    rest = tuple(item for item in source.pool if item.name not in named)
    items = {
        "labelled": few,
        "unlabelled": (*rest, *source.extra),
        "validation": tuple(item for item in source.validation if item.name not in named),
        "test": source.test,
    }
    splits = {split: tuple(item.name for item in members) for split, members in items.items()}
    counts = {
        split: sum((pixels[name] for name in names), np.zeros(len(source.classes) + 1, np.int64))
        for split, names in splits.items()
        if split != "unlabelled"
    }
    return replace(seen, splits=splits, shares=ClassShares(source.classes, counts))


def _pixels(seen: Examined) -> dict[str, np.ndarray]:
    code, classes = seen.members.code, len(seen.members.classes)
    if code is None:
        return {}
    none = np.zeros(classes + 1, np.int64)
    counts = {name: look.count for name, look in seen.masks.items()}
    return {
        member.name: none if (count := counts.get(member.name)) is None else class_pixels(count, code, classes)
        for member in seen.members.members
    }
