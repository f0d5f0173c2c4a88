"""Folds of the labelled images: each is ranked on by a network that learnt from the others."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from nas.tasks.data.allot import deal, spread
from nas.tasks.data.rows import Rows
from nas.tasks.data.sets import FewLabelData, ImageSet, Pixels

__all__ = ["assign_folds", "fold"]


STARTS = 10
"""Deals that are tried, at most, where classes are left unlearnt that might be learnt."""


def fold(data: FewLabelData, index: int, folds: int, seed: int) -> FewLabelData:
    """The training view of one fold: `labelled` holds the other folds, `validation` this one.

    Images of a group (`data.groups`) are in one fold, and unlabelled images of groups that are held out are left out.
    The test images are those of `data`.

    Args:
        data: a data set; its `labelled` images are divided.
        index: of the fold, from 0.
        folds: how many there are, at most as many as groups.
        seed: of the division, the same for all folds of one.

    Raises:
        ValueError: there is no such fold, or there are fewer groups than folds.
    """
    if not 0 <= index < folds:
        raise ValueError(f"there is no fold {index} of {folds}")
    mine = assign_folds(data, folds, seed) == index
    held = {group for group, out in zip(data.groups, mine, strict=True) if out}
    beside = np.array([group not in held for group in data.unlabelled_groups], bool)
    return replace(
        data,
        labelled=_part(data.labelled, ~mine),
        unlabelled=data.unlabelled if beside.all() else _rows(data.unlabelled, beside),
        validation=_part(data.labelled, mine),
        groups=_chosen(data.groups, ~mine),
        unlabelled_groups=_chosen(data.unlabelled_groups, beside),
        folds=0,
    )


def assign_folds(data: FewLabelData, folds: int, seed: int) -> np.ndarray:
    """The fold of each labelled image, such that sizes are balanced and every class is learnt in every fold if it can.

    A class that only one group shows cannot be learnt by the fold that holds it out.

    Raises:
        ValueError: there are fewer groups than folds.
    """
    units, of_image = np.unique(np.array(data.groups, dtype=object).astype(str), return_inverse=True)
    if not 2 <= folds <= len(units):
        raise ValueError(f"{len(units)} groups of labelled images cannot make {folds} folds")
    shown = _shown(data.labelled, len(data.classes))
    presence = np.zeros((len(units), len(data.classes)), bool)
    np.logical_or.at(presence, of_image, shown)
    sizes = np.bincount(of_image, minlength=len(units))
    wanted = np.full(folds, sizes.sum() / folds)
    holders = presence.sum(0)
    least = _unlearnt(np.array([(holders + index) // folds for index in range(folds)])).sum()
    best, fewest = np.zeros(len(units), np.int64), np.inf
    for start in range(STARTS):
        part = deal(sizes, wanted, seed * STARTS + start)
        spread(part, presence, sizes, wanted, _unlearnt, seed * STARTS + start)
        wrong = _unlearnt(np.stack([presence[part == index].sum(0) for index in range(folds)])).sum()
        if wrong < fewest:
            best, fewest = part, wrong
        if fewest <= least:
            break
    chosen: np.ndarray = best[of_image]
    return chosen


def _unlearnt(counts: np.ndarray) -> np.ndarray:
    """What is wrong with each class: above all to be missing from what a fold learns, then from what it ranks on."""
    learnt = counts.sum(0) - counts
    shown = counts.sum(0) > 0
    wrong: np.ndarray = (1000 * (learnt == 0).sum(0) + (counts == 0).sum(0)) * shown
    return wrong


def _shown(images: ImageSet, classes: int) -> np.ndarray:
    """Which classes each mask holds, images x classes."""
    assert images.masks is not None
    return np.array([np.bincount(mask.ravel(), minlength=256)[:classes] > 0 for mask in images.masks], bool)


def _part(images: ImageSet, chosen: np.ndarray) -> ImageSet:
    return ImageSet(
        images.images[chosen],
        None if images.masks is None else images.masks[chosen],
        _chosen(images.names, chosen),
    )


def _rows(images: ImageSet, chosen: np.ndarray) -> ImageSet:
    """The same of images without masks, of which there may be too many to copy."""
    return ImageSet(cast(Pixels, Rows(images.images, np.flatnonzero(chosen))), None, _chosen(images.names, chosen))


def _chosen(names: tuple[str, ...], chosen: np.ndarray) -> tuple[str, ...]:
    return tuple(name for name, taken in zip(names, chosen, strict=True) if taken)
