"""Folds of the labelled images: a candidate is ranked on each fold by a network trained on the others."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from nas.tasks.data.allot import assign_by_size, swap_for_classes
from nas.tasks.data.rows import Rows
from nas.tasks.data.sets import FewLabelData, ImageSet, Pixels

__all__ = ["assign_folds", "fold"]

MOST_STARTS = 10
"""Largest number of initial assignments, tried while a class is missing from a fold that could have it."""


def fold(data: FewLabelData, index: int, folds: int, seed: int) -> FewLabelData:
    """Return the data to train and rank on one fold: `labelled` holds the other folds, `validation` this one.

    All images of a group (`data.groups`) are in the same fold. Unlabelled images of the held-out groups are left out.
    The test images are those of `data`.

    Args:
        data: a data set; its `labelled` images are divided.
        index: index of the fold, from 0.
        folds: number of folds, at most the number of groups.
        seed: seed of the division, the same for all folds of a division.

    Raises:
        ValueError: `index` is out of range, or there are fewer groups than folds.
    """
    if not 0 <= index < folds:
        raise ValueError(f"there is no fold {index} of {folds}")
    held_out = assign_folds(data, folds, seed) == index
    held_groups = {group for group, out in zip(data.groups, held_out, strict=True) if out}
    kept = np.array([group not in held_groups for group in data.unlabelled_groups], bool)
    return replace(
        data,
        labelled=_subset(data.labelled, ~held_out),
        unlabelled=data.unlabelled if kept.all() else _view(data.unlabelled, kept),
        validation=_subset(data.labelled, held_out),
        groups=_chosen(data.groups, ~held_out),
        unlabelled_groups=_chosen(data.unlabelled_groups, kept),
        folds=0,
    )


def assign_folds(data: FewLabelData, folds: int, seed: int) -> np.ndarray:
    """Assign each labelled image to a fold.

    The folds have about the same size. The training without a fold still sees every class if possible; a class of a
    single group is missing where that group is held out.

    Returns:
        The fold of each labelled image.

    Raises:
        ValueError: there are fewer groups than folds.
    """
    units, of_image = np.unique(np.array(data.groups, dtype=object).astype(str), return_inverse=True)
    if not 2 <= folds <= len(units):
        raise ValueError(f"{len(units)} groups of labelled images cannot make {folds} folds")
    presence = np.zeros((len(units), len(data.classes)), bool)
    np.logical_or.at(presence, of_image, _shown(data.labelled, len(data.classes)))
    sizes = np.bincount(of_image, minlength=len(units))
    chosen: np.ndarray = _best_assignment(presence, sizes, folds, seed)[of_image]
    return chosen


def _best_assignment(presence: np.ndarray, sizes: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each unit, from the first start that reaches the least possible penalty, or the best of all."""
    wanted = np.full(folds, sizes.sum() / folds)
    holders = presence.sum(0)
    least = _penalty(np.array([(holders + index) // folds for index in range(folds)])).sum()
    best, lowest = np.zeros(len(sizes), np.int64), np.inf
    for start in range(MOST_STARTS):
        part = assign_by_size(sizes, wanted, seed * MOST_STARTS + start)
        swap_for_classes(part, presence, sizes, wanted, _penalty, seed * MOST_STARTS + start)
        penalty = _penalty(np.stack([presence[part == index].sum(0) for index in range(folds)])).sum()
        if penalty < lowest:
            best, lowest = part, penalty
        if lowest <= least:
            break
    return best


def _penalty(counts: np.ndarray) -> np.ndarray:
    """Penalty of each class: 1000 for each fold that cannot train on it, 1 for each fold that does not show it."""
    trained = counts.sum(0) - counts
    shown = counts.sum(0) > 0
    penalty: np.ndarray = (1000 * (trained == 0).sum(0) + (counts == 0).sum(0)) * shown
    return penalty


def _shown(images: ImageSet, classes: int) -> np.ndarray:
    """Which classes each mask shows, images x classes, bool."""
    assert images.masks is not None
    return np.array([np.bincount(mask.ravel(), minlength=256)[:classes] > 0 for mask in images.masks], bool)


def _subset(images: ImageSet, chosen: np.ndarray) -> ImageSet:
    return ImageSet(
        images.images[chosen],
        None if images.masks is None else images.masks[chosen],
        _chosen(images.names, chosen),
    )


def _view(images: ImageSet, chosen: np.ndarray) -> ImageSet:
    """A subset of images without masks that does not copy them, since there may be many."""
    return ImageSet(cast(Pixels, Rows(images.images, np.flatnonzero(chosen))), None, _chosen(images.names, chosen))


def _chosen(names: tuple[str, ...], chosen: np.ndarray) -> tuple[str, ...]:
    return tuple(name for name, taken in zip(names, chosen, strict=True) if taken)
