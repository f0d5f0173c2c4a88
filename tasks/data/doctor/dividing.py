"""Add the splits of a search, and the pixels of each class in them, to an examined data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from nas.errors import UserError
from nas.tasks.data.doctor.examined import ClassShares, Examined
from nas.tasks.data.labels import choose_labels
from nas.tasks.data.mask_counts import class_pixels
from nas.tasks.data.sets import Item, Source
from nas.tasks.data.split_plan import plan_splits

__all__ = ["add_splits", "add_splits_of_two"]

ALL = "all masks"
"""The only split of a data set that a search refuses."""


def add_splits(examined: Examined, labels: str | None = None) -> Examined:
    """Add the splits of a search, and the pixels of each class in them.

    Args:
        examined: a data set.
        labels: see `load_data`.

    Raises:
        UserError: `labels` cannot be read, or asks for no image or for more than there are.
    """
    source, pixels = examined.members.source, _pixels(examined)
    if source is None:
        known = pixels if examined.members.classes else {}
        shares = ClassShares(examined.members.classes, {ALL: _sum(known, known)}) if known else None
        return replace(examined, shares=shares)
    plan = plan_splits(source, source, _chooser(labels, pixels))
    splits = plan.items if not plan.folds else {**plan.items, "validation": ()}
    names = _names(splits)
    return replace(examined, splits=names, folds=plan.folds, shares=_shares(source, names, pixels))


def add_splits_of_two(examined: Examined, target: Examined, labels: str | None = None) -> tuple[Examined, Examined]:
    """Add the splits of domain adaptation, and the pixels of each class in them.

    Args:
        examined: the labelled data set.
        target: the data set of the other splits.
        labels: see `load_data`.

    Raises:
        UserError: their classes differ, or `labels` cannot be read.
    """
    source, other = examined.members.source, target.members.source
    if source is None or other is None:
        return add_splits(examined, labels), add_splits(target)
    if source.classes != other.classes:
        raise UserError(
            f"{examined.members.spec} has the classes {', '.join(source.classes)} and {target.members.spec} "
            f"{', '.join(other.classes)}: a set of unlabelled images must have the same classes"
        )
    pixels, others = _pixels(examined), _pixels(target)
    splits = _names(plan_splits(source, other, _chooser(labels or "all", pixels)).items)
    labelled_names = {"labelled": splits.pop("labelled")}
    labelled = _shares(source, labelled_names, pixels)
    scored = _shares(other, splits, others)
    both = ClassShares(source.classes, {**labelled.pixels, **scored.pixels})
    return replace(examined, splits=labelled_names, shares=labelled), replace(target, splits=splits, shares=both)


def _chooser(labels: str | None, pixels: Mapping[str, np.ndarray]) -> Callable[[Source], tuple[Item, ...]]:
    def presence(source: Source) -> Callable[[Sequence[Item]], np.ndarray]:
        return lambda items: np.array([pixels[item.name][: len(source.classes)] > 0 for item in items])

    return lambda source: choose_labels(source, labels, 0, presence(source))


def _names(splits: Mapping[str, Sequence[Item]]) -> dict[str, tuple[str, ...]]:
    return {split: tuple(item.name for item in items) for split, items in splits.items()}


def _shares(source: Source, names: Mapping[str, Sequence[str]], pixels: Mapping[str, np.ndarray]) -> ClassShares:
    labelled = {split: members for split, members in names.items() if split != "unlabelled" and members}
    return ClassShares(source.classes, {split: _sum(pixels, members) for split, members in labelled.items()})


def _sum(pixels: Mapping[str, np.ndarray], names: Sequence[str] | Mapping[str, np.ndarray]) -> np.ndarray:
    return sum((pixels[name] for name in names), np.zeros(256, np.int64))


def _pixels(examined: Examined) -> dict[str, np.ndarray]:
    """Number of pixels of each of 256 class indices in the mask of each image, 0 without a mask."""
    code = examined.members.code
    counts = {name: facts.count for name, facts in examined.masks.items()}
    if code is None:
        return {}
    return {
        member.name: np.zeros(256, np.int64)
        if (count := counts.get(member.name)) is None
        else class_pixels(count, code)
        for member in examined.members.members
    }
