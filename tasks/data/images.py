"""Decode the images and masks of a split into arrays, in memory or mapped from a file."""

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
"""From a shape to an array of zeros."""

_log = logging.getLogger(__name__)

MOST_LISTED = 10
"""Largest number of images that a warning lists; it counts all."""

SMALLEST = 8
"""Pixels a side below which an unlabelled image is skipped."""

SQUEEZED = 1.25
"""Factor between the aspect ratios of an image and of the working size from which on a warning lists the image."""


def allocator(total: int, cache_gb: float, folder: Path | None) -> Allocate:
    """Return a function that makes arrays: in memory if `total` bytes fit in `cache_gb`, else as files in `folder`."""
    if total <= cache_gb * 1e9:
        return lambda shape: np.zeros(shape, np.uint8)
    root = scratch_folder(folder)
    _log.info("%.1f GB of pixels exceed the cache of %g GB: they are kept in %s", total / 1e9, cache_gb, root)
    return lambda shape: scratch_array(root, shape) if all(shape) else np.zeros(shape, np.uint8)


def first_size(items: Sequence[Item]) -> tuple[int, int]:
    """Return height and width of the first image that can be read.

    Raises:
        UserError: no image can be read.
    """
    if not items:
        raise UserError("there is no image to take the working size from")
    sizes = (_size(item) for item in items)
    found = next((size for size in sizes if size is not None), None)
    if found is None:
        items[0].image()  # raises the error that names what is wrong
        raise UserError("no image of the pool can be read")
    return found


def _size(item: Item) -> tuple[int, int] | None:
    """Height and width of an image, None if it is broken."""
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
    """Decode images, and their masks if `labelled`, at one size.

    Unlabelled images that are broken or tiny are skipped with a warning. Another warning lists the images whose aspect
    ratio changes, unless that of all images does.

    Args:
        items: the images.
        size: height and width of the result.
        labelled: whether to decode masks.
        allocate: makes the arrays.
        bar: progress bar, updated by each image.
        native: counts height and width of the images as stored in their files.

    Raises:
        UserError: a labelled image or its mask is broken or does not fit.
    """
    images = allocate((len(items), *size, 3))
    masks = allocate((len(items), *size)) if labelled else None
    resizer = _Resizer(size)

    def fill(place: int) -> str | None:
        try:
            if masks is None:
                images[place] = resizer.image(items[place])
            else:
                images[place], masks[place] = resizer.pair(items[place])
        except BrokenImageError as broken:
            if labelled:
                raise
            return str(broken)
        return None

    errors = threaded(fill, range(len(items)), bar)
    kept = [place for place, error in enumerate(errors) if error is None]
    if len(kept) < len(items):
        _warn("unlabelled images skipped", [error for error in errors if error is not None])
        for to, place in enumerate(kept):
            images[to] = images[place]
        images = images[: len(kept)]
    if native is not None:
        native.update(resizer.native)
    resizer.warn_if_squeezed("labelled" if labelled else "unlabelled", len(items))
    return ImageSet(images, masks, tuple(items[place].name for place in kept))


class _Resizer:
    """Reads images at one size, and notes the sizes of their files.

    Attributes:
        size: height and width of the result.
        native: height and width of each file.
        squeezed: path and size of each file whose aspect ratio changes.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.native: list[tuple[int, int]] = []
        self.squeezed: list[str] = []

    def image(self, item: Item) -> Pixels:
        """Read an unlabelled image.

        Raises:
            BrokenImageError: it cannot be read or is tiny.
        """
        if item.file is None:
            return item.image(self.size)
        image = item.image()
        height, width = image.shape[:2]
        if min(height, width) < SMALLEST:
            raise BrokenImageError(f"{item.file} has {height}x{width} pixels, fewer than {SMALLEST} a side")
        self._note(item.file, image)
        return resize(image, self.size)

    def pair(self, item: Item) -> tuple[Pixels, Pixels]:
        """Read an image and its mask.

        Raises:
            UserError: one is broken, or they do not fit.
        """
        if item.file is None:
            return item.pair(self.size)
        image, mask = item.pair()
        self._note(item.file, image)
        return resize(image, self.size), resize(mask, self.size, labels=True)

    def warn_if_squeezed(self, kind: str, total: int) -> None:
        """Warn of images whose aspect ratio changed, unless all `total` ones did."""
        if self.squeezed and len(self.squeezed) < total:
            size = f"{self.size[0]}x{self.size[1]}"
            _warn(f"{kind} images of another shape, squeezed to {size}", sorted(self.squeezed))

    def _note(self, file: Path, image: Pixels) -> None:
        height, width = image.shape[:2]
        self.native.append((height, width))
        ratio = (width / height) / (self.size[1] / self.size[0])
        if max(ratio, 1 / ratio) > SQUEEZED:
            self.squeezed.append(f"{file} ({height}x{width})")


def _warn(what: str, found: Sequence[str]) -> None:
    more = "" if len(found) <= MOST_LISTED else f"; and {len(found) - MOST_LISTED} more"
    _log.warning("%s: %d: %s%s", what, len(found), "; ".join(found[:MOST_LISTED]), more)


def present_classes(items: Sequence[Item], classes: int, size: tuple[int, int] | None, bar: tqdm[Any]) -> np.ndarray:
    """Return which classes the mask of each item shows at `size`, items x classes, bool.

    A mask that cannot be read counts as showing no class, with a warning, since it may not be needed.

    Args:
        items: images with masks.
        classes: number of classes.
        size: height and width of the masks; None for their own.
        bar: progress bar, updated by each item.

    Raises:
        UserError: a mask has a value of no class.
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
