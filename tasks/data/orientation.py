"""Photos that EXIF turns, and masks that were drawn or written in the order of the stored pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nas.tasks.data.decoding import BrokenImageError, Header, read_header, turned
from nas.tasks.data.files import resize
from nas.tasks.data.items import FileItem
from nas.tasks.data.parallel import progress_bar, threaded
from nas.tasks.data.sets import VOID, Pixels
from nas.wording import counted

__all__ = ["Turned", "match_masks"]

LOOKED_AT = 100
"""Photos whose content is compared; more tell nothing new."""

SIDE = 128
"""Pixels a side at which photos and masks are compared."""

CLEAR = 4.0
"""Standard errors by which masks must fit one order better than the other for the content to decide."""


@dataclass(frozen=True)
class Turned:
    """The items with their masks matched, and what is to be said of it."""

    items: tuple[FileItem, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def match_masks(
    items: Sequence[FileItem], headers: Mapping[Path, Header | None], what: str, progress: bool = False
) -> Turned:
    """Turn the masks that are in the stored order of photos that EXIF turns.

    Where only one order has the photo's height and width, that tells. Where both do (turns by 180 degrees, mirrored
    and square photos), all masks follow those whose shape tells; without such, the order in which the masks explain
    the photos' colours better, if that is clear; else they are taken as shown, and a warning says so. A mask with an
    orientation of its own is turned by that and by nothing else.

    Args:
        items: images with masks.
        headers: of the images.
        what: for the progress bar.
        progress: whether to show one.
    """
    photos = {item.name: header.orientation for item in items if (header := headers.get(item.image_path)) is not None}
    some = [item for item in items if photos.get(item.name, 1) > 1 and item.mask_path is not None]
    with progress_bar(len(some), f"{what} orientation", progress) as bar:
        masks = threaded(lambda item: read_header(item.mask_path) if item.mask_path else None, some, bar)
    stored: set[str] = set()
    shown: set[str] = set()
    unclear: list[FileItem] = []
    for item, mask in zip(some, masks, strict=True):
        photo = headers[item.image_path]
        if photo is None or mask is None or mask.orientation > 1:
            continue
        if photo.size == photo.stored == mask.size:
            unclear.append(item)
        elif mask.size == photo.stored:
            stored.add(item.name)
        elif mask.size == photo.size:
            shown.add(item.name)
    notes, warnings = [], []
    if stored:
        notes.append(f"{counted(len(stored), 'mask')} turned with the photo: the shape is that before EXIF turns it")
    if unclear:
        how = f"{counted(len(unclear), 'photo')} turned by EXIF with masks of the same shape either way"
        follow = bool(stored) if bool(stored) != bool(shown) else _by_content(unclear, photos)
        if follow is None:
            warnings.append(
                f"{how}, the first is {unclear[0].image_path}: the masks are taken to be drawn on the photo as shown. "
                "If overlays look wrong, write the photos upright and without EXIF orientation (exiftran -ai, or "
                "magick mogrify -auto-orient), or turn the masks"
            )
        elif follow:
            stored |= {item.name for item in unclear}
            notes.append(f"{how}: these fit the stored order and are turned with the photo")
        else:
            notes.append(f"{how}: these fit the photo as shown")
    matched = tuple(replace(item, turn=photos[item.name]) if item.name in stored else item for item in items)
    return Turned(matched, tuple(notes), tuple(warnings))


def _by_content(items: Sequence[FileItem], orientations: Mapping[str, int]) -> bool | None:
    """Whether the masks fit the photos better when turned with them; None where that is not clear."""
    gains = []
    for item in items[:: max(1, len(items) // LOOKED_AT)]:
        try:
            image, mask = item.image(), item.mask()
        except BrokenImageError:
            continue
        if image.shape[:2] == mask.shape:
            turn = orientations[item.name]
            gains.append(_explained(image, turned(mask, turn)) - _explained(image, mask))
    if not gains:
        return None
    mean = float(np.mean(gains))
    # A single photo is no proof of itself: 0.1 is how much one may differ by chance.
    spread = np.sqrt((np.var(gains) * len(gains) + 0.1**2) / len(gains))
    return mean > 0 if abs(mean) * np.sqrt(len(gains)) > CLEAR * spread else None


def _explained(image: Pixels, mask: Pixels) -> float:
    """The share of the variance of a photo's colours that lies between the classes of a mask (eta squared)."""
    size = min(SIDE, mask.shape[0]), min(SIDE, mask.shape[1])
    colours = resize(image, size).reshape(-1, 3).astype(np.float64)
    classes = resize(mask, size, labels=True).ravel()
    colours, classes = colours[classes != VOID], classes[classes != VOID]
    if not classes.size:
        return 0.0
    around = colours - colours.mean(0)
    counts = np.bincount(classes, minlength=256)
    sums = np.stack([np.bincount(classes, around[:, channel], minlength=256) for channel in range(3)])
    between = (sums**2 / np.maximum(counts, 1)).sum()
    return float(between / max(float((around**2).sum()), 1e-9))
