"""Decoding a split into two arrays, in memory or mapped from a file, with broken images named."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from nas.errors import UserError
from nas.tasks.data.files import BrokenImageError, resize
from nas.tasks.data.parallel import threaded
from nas.tasks.data.scratch import scratch_array, scratch_folder
from nas.tasks.data.sets import ImageSet, Item, Pixels

__all__ = ["Allocate", "allocator", "decode", "first_size", "present_classes"]

Allocate = Callable[[tuple[int, ...]], Pixels]

_log = logging.getLogger(__name__)

NAMED = 10
"""Images that a warning names; it counts all."""

SMALLEST = 8
"""Pixels a side under which an image without a label is none worth learning from."""

SQUEEZED = 1.25
"""How much wider or narrower an image may be than the working size before that is said."""


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
    items: Sequence[Item],
    size: tuple[int, int],
    labelled: bool,
    allocate: Allocate,
    bar: tqdm[Any],
    native: Counter[tuple[int, int]] | None = None,
) -> ImageSet:
    """Images of `items` at `size` (H, W), with their masks where `labelled`.

    Without labels an image that is broken or tiny is skipped, and a warning counts such images and names the first
    ones; so it does with those of another shape, which are squeezed, unless all the labelled ones are: that was asked.
    Height and width of each image as its file has it are counted in `native`.

    Raises:
        UserError: with labels, the first file that is broken or does not fit.
    """
    images = allocate((len(items), *size, 3))
    masks = allocate((len(items), *size)) if labelled else None
    squeezed: list[str] = []
    sizes: list[tuple[int, int]] = []

    def fill(place: int) -> str | None:
        try:
            if masks is None:
                images[place] = _unlabelled(items[place], size, squeezed, sizes)
            else:
                images[place], masks[place] = _labelled(items[place], size, squeezed, sizes)
        except BrokenImageError as broken:
            if labelled:
                raise
            return str(broken)
        return None

    faults = threaded(fill, range(len(items)), bar)
    kept = [place for place, fault in enumerate(faults) if fault is None]
    if len(kept) < len(items):
        _warn("unlabelled images skipped", [fault for fault in faults if fault is not None])
        for to, place in enumerate(kept):
            images[to] = images[place]
        images = images[: len(kept)]
    if native is not None:
        native.update(sizes)
    if squeezed and len(squeezed) < len(items):
        kind = "labelled" if labelled else "unlabelled"
        _warn(f"{kind} images of another shape, squeezed to {size[0]}x{size[1]}", sorted(squeezed))
    return ImageSet(images, masks, tuple(items[place].name for place in kept))


def _unlabelled(item: Item, size: tuple[int, int], squeezed: list[str], sizes: list[tuple[int, int]]) -> Pixels:
    """An image at `size`; one of a file is measured before."""
    if item.file is None:
        return item.image(size)
    image = item.image()
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST:
        raise BrokenImageError(f"{item.file} has {height}x{width} pixels, {SMALLEST} a side are needed")
    _note_shape(item, image, size, squeezed)
    sizes.append((height, width))
    return resize(image, size)


def _labelled(
    item: Item, size: tuple[int, int], squeezed: list[str], sizes: list[tuple[int, int]]
) -> tuple[Pixels, Pixels]:
    """An image and its mask at `size`; those of files are measured before."""
    if item.file is None:
        return item.pair(size)
    image, mask = item.pair()
    _note_shape(item, image, size, squeezed)
    sizes.append((image.shape[0], image.shape[1]))
    return resize(image, size), resize(mask, size, labels=True)


def _note_shape(item: Item, image: Pixels, size: tuple[int, int], squeezed: list[str]) -> None:
    height, width = image.shape[:2]
    ratio = (width / height) / (size[1] / size[0])
    if max(ratio, 1 / ratio) > SQUEEZED:
        squeezed.append(f"{item.file} ({height}x{width})")


def _warn(what: str, found: Sequence[str]) -> None:
    more = "" if len(found) <= NAMED else f"; and {len(found) - NAMED} more"
    _log.warning("%s: %d: %s%s", what, len(found), "; ".join(found[:NAMED]), more)


def present_classes(items: Sequence[Item], classes: int, size: tuple[int, int] | None, bar: tqdm[Any]) -> np.ndarray:
    """Which classes each item's mask shows at `size` (None: its own), a bool matrix, items x classes.

    One that cannot be read shows none, and a warning names it: it may never be needed.

    Raises:
        UserError: a mask holds what is no class.
    """
    broken: list[str] = []

    def look(item: Item) -> np.ndarray:
        try:
            return np.bincount(item.mask(size).ravel(), minlength=256)[:classes] > 0
        except BrokenImageError as error:
            broken.append(str(error))
            return np.zeros(classes, bool)

    found = np.array(threaded(look, items, bar)).reshape(len(items), classes)
    if broken:
        _warn("masks that cannot be read, counted as showing no class", sorted(broken))
    return found
