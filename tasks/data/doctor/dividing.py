"""Which images are labelled, unlabelled, ranked on and tested on, and how many pixels of each class they show."""

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

__all__ = ["divided", "divided_over"]

ALL = "all masks"
"""The only split of a set that a search refuses."""


def divided(seen: Examined, labels: str | None = None) -> Examined:
    """What was seen with its splits as a search makes them, and pixels by class and split.

    Raises:
        UserError: `labels` cannot be read, or asks for none or for more than there are.
    """
    source, pixels = seen.members.source, _pixels(seen)
    if source is None:
        known = pixels if seen.members.classes else {}
        shares = ClassShares(seen.members.classes, {ALL: _sum(known, known)}) if known else None
        return replace(seen, shares=shares)
    plan = plan_splits(source, source, _chooser(labels, pixels))
    splits = plan.items if not plan.folds else {**plan.items, "validation": ()}
    names = _names(splits)
    return replace(seen, splits=names, folds=plan.folds, shares=_shares(source, names, pixels))


def divided_over(seen: Examined, target: Examined, labels: str | None = None) -> tuple[Examined, Examined]:
    """Two sets, of which the first is labelled and the second is learnt from without labels, ranked and tested on.

    Raises:
        UserError: their classes differ, or `labels` cannot be read.
    """
    source, other = seen.members.source, target.members.source
    if source is None or other is None:
        return divided(seen, labels), divided(target)
    if source.classes != other.classes:
        raise UserError(
            f"{seen.members.spec} has the classes {', '.join(source.classes)} and {target.members.spec} "
            f"{', '.join(other.classes)}: a set of unlabelled images must have the same classes"
        )
    pixels, others = _pixels(seen), _pixels(target)
    splits = _names(plan_splits(source, other, _chooser(labels or "all", pixels)).items)
    mine = {"labelled": splits.pop("labelled")}
    labelled = _shares(source, mine, pixels)
    scored = _shares(other, splits, others)
    both = ClassShares(source.classes, {**labelled.pixels, **scored.pixels})
    return replace(seen, splits=mine, shares=labelled), replace(target, splits=splits, shares=both)


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


def _pixels(seen: Examined) -> dict[str, np.ndarray]:
    """Pixels of each of 256 class indices in the mask of each image; none where it has none."""
    code = seen.members.code
    counts = {name: look.count for name, look in seen.masks.items()}
    if code is None:
        return {}
    return {
        member.name: np.zeros(256, np.int64)
        if (count := counts.get(member.name)) is None
        else class_pixels(count, code)
        for member in seen.members.members
    }
