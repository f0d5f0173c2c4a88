"""Decoding a split into two arrays, in memory or mapped from a file, with broken images named."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from nas.errors import UserError
from tasks.data.files import BrokenImageError
from tasks.data.parallel import threaded
from tasks.data.scratch import scratch_array, scratch_folder
from tasks.data.sets import ImageSet, Item, Pixels

__all__ = ["Allocate", "allocator", "decode", "first_size", "present_classes"]

Allocate = Callable[[tuple[int, ...]], Pixels]

_log = logging.getLogger(__name__)

NAMED = 10
"""Broken images that a warning names; it counts all."""


def allocator(total: int, cache_gb: float, folder: Path | None) -> Allocate:
    """What makes arrays: in memory if `total` bytes fit in `cache_gb`, as files in `folder` otherwise."""
    if total <= cache_gb * 1e9:
        return lambda shape: np.zeros(shape, np.uint8)
    root = scratch_folder(folder)
    _log.info("%.1f GB of pixels exceed the cache of %g GB: they are kept in %s", total / 1e9, cache_gb, root)
    return lambda shape: scratch_array(root, shape) if all(shape) else np.zeros(shape, np.uint8)


def first_size(items: Sequence[Item]) -> tuple[int, int]:
    """Height and width of the first image that can be read.

    Raises:
        UserError: none can.
    """
    if not items:
        raise UserError("there is no image to take the working size from")
    sizes = (_size(item) for item in items)
    found = next((size for size in sizes if size is not None), None)
    if found is None:
        items[0].image()  # says what is wrong with it
        raise UserError("no image of the pool can be read")
    return found


def _size(item: Item) -> tuple[int, int] | None:
    """Height and width of an image, None for a broken one."""
    try:
        height, width = item.image().shape[:2]
    except BrokenImageError:
        return None
    return height, width


def decode(
    items: Sequence[Item], size: tuple[int, int], labelled: bool, allocate: Allocate, bar: tqdm[Any]
) -> ImageSet:
    """Images of `items` at `size` (H, W), with their masks where `labelled`.

    Without labels a broken image is skipped, and a warning counts such images and names the first ones.

    Raises:
        UserError: with labels, the first file that is broken or does not fit.
    """
    images = allocate((len(items), *size, 3))
    masks = allocate((len(items), *size)) if labelled else None

    def fill(place: int) -> str | None:
        try:
            if masks is None:
                images[place] = items[place].image(size)
            else:
                images[place], masks[place] = items[place].pair(size)
        except BrokenImageError as broken:
            if labelled:
                raise
            return str(broken)
        return None

    faults = threaded(fill, range(len(items)), bar)
    kept = [place for place, fault in enumerate(faults) if fault is None]
    if len(kept) < len(items):
        found = [fault for fault in faults if fault is not None]
        more = "" if len(found) <= NAMED else f"; and {len(found) - NAMED} more"
        _log.warning("unlabelled images skipped: %d: %s%s", len(found), "; ".join(found[:NAMED]), more)
        for to, place in enumerate(kept):
            images[to] = images[place]
        images = images[: len(kept)]
    return ImageSet(images, masks, tuple(items[place].name for place in kept))


def present_classes(items: Sequence[Item], classes: int, size: tuple[int, int], bar: tqdm[Any]) -> np.ndarray:
    """Which classes each item's mask shows at the working size, a bool matrix, items x classes.

    Raises:
        UserError: a mask cannot be read.
    """

    def look(item: Item) -> np.ndarray:
        return np.bincount(item.mask(size).ravel(), minlength=256)[:classes] > 0

    return np.array(threaded(look, items, bar)).reshape(len(items), classes)
