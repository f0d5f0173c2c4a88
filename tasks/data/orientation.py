"""Match masks to photos that EXIF rotates: masks may be drawn on the photo as shown or on its stored pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nas.tasks.data.decoding import BrokenImageError, Header, apply_orientation, read_header
from nas.tasks.data.files import resize
from nas.tasks.data.items import FileItem
from nas.tasks.data.parallel import progress_bar, threaded
from nas.tasks.data.sets import VOID, Pixels
from nas.wording import counted

__all__ = ["MatchedMasks", "match_masks"]

MOST_COMPARED = 100
"""Largest number of photos whose content is compared; more would not change the result."""

SIDE = 128
"""Pixels a side at which photos and masks are compared."""

CLEAR = 4.0
"""Standard errors by which masks must fit one order better than the other for the content to decide."""


@dataclass(frozen=True)
class MatchedMasks:
    """Items whose masks lie on their photos.

    Attributes:
        items: the items, in their order.
        notes: sentences on how the masks were matched.
        warnings: sentences on what is uncertain, each with what to do.
    """

    items: tuple[FileItem, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def match_masks(
    items: Sequence[FileItem], headers: Mapping[Path, Header | None], what: str, progress: bool = False
) -> MatchedMasks:
    """Find the masks that are in the stored pixel order of a photo that EXIF rotates, and rotate them alike.

    If only one order has the height and width of the photo, the mask is in this order. If both have (rotation by 180
    degrees, mirrored and square photos), the masks follow those whose shape decides. Without any of these, the order in
    which masks explain the colours of the photos better is taken, if the difference is clear; else the masks are taken
    to be drawn on the photos as shown, with a warning. A mask with an EXIF orientation of its own is rotated by that
    alone.

    Args:
        items: images with masks.
        headers: headers of the images.
        what: name of the data set, for the progress bar.
        progress: whether to show progress on standard error.
    """
    found = {item.name: header.orientation for item in items if (header := headers.get(item.image_path)) is not None}
    rotated = [item for item in items if found.get(item.name, 1) > 1 and item.mask_path is not None]
    with progress_bar(len(rotated), f"{what} orientation", progress) as bar:
        masks = threaded(lambda item: read_header(item.mask_path) if item.mask_path else None, rotated, bar)
    stored, shown, unclear = _by_shape(rotated, masks, headers)
    notes: list[str] = []
    warnings: list[str] = []
    if stored:
        notes.append(f"{counted(len(stored), 'mask')} rotated with the photo, having the shape of its stored pixels")
    if unclear:
        as_stored = bool(stored) if bool(stored) != bool(shown) else _by_content(unclear, found)
        (warnings if as_stored is None else notes).append(_describe(unclear, as_stored))
        if as_stored:
            stored |= {item.name for item in unclear}
    matched = tuple(replace(item, mask_orientation=found[item.name]) if item.name in stored else item for item in items)
    return MatchedMasks(matched, tuple(notes), tuple(warnings))


def _by_shape(
    items: Sequence[FileItem], masks: Sequence[Header | None], headers: Mapping[Path, Header | None]
) -> tuple[set[str], set[str], list[FileItem]]:
    """Names of masks with the shape of the stored pixels, names of those with the shown shape, and items with both."""
    stored: set[str] = set()
    shown: set[str] = set()
    unclear: list[FileItem] = []
    for item, mask in zip(items, masks, strict=True):
        photo = headers[item.image_path]
        if photo is None or mask is None or mask.orientation > 1:
            continue
        if photo.size == photo.stored == mask.size:
            unclear.append(item)
        elif mask.size == photo.stored:
            stored.add(item.name)
        elif mask.size == photo.size:
            shown.add(item.name)
    return stored, shown, unclear


def _describe(items: Sequence[FileItem], as_stored: bool | None) -> str:
    """What was decided on masks whose shape does not tell; None for nothing."""
    what = f"{counted(len(items), 'photo')} rotated by EXIF with masks of the same shape either way"
    if as_stored is None:
        return (
            f"{what}, the first is {items[0].image_path}: the masks are taken to be drawn on the photo as shown. "
            "If overlays look wrong, save the photos upright without EXIF orientation (exiftran -ai, or "
            "magick mogrify -auto-orient), or rotate the masks"
        )
    return (
        f"{what}: {'these fit the stored pixels and are rotated with the photo' if as_stored else 'these fit as shown'}"
    )


def _by_content(items: Sequence[FileItem], orientations: Mapping[str, int]) -> bool | None:
    """Whether the masks fit the photos better when rotated with them; None if the difference is not clear."""
    gains = []
    for item in items[:: max(1, len(items) // MOST_COMPARED)]:
        try:
            image, mask = item.image(), item.mask()
        except BrokenImageError:
            continue
        if image.shape[:2] == mask.shape:
            rotated = apply_orientation(mask, orientations[item.name])
            gains.append(_explained(image, rotated) - _explained(image, mask))
    if not gains:
        return None
    mean = float(np.mean(gains))
    # The prior of one observation of 0.1 keeps a single photo from deciding by chance.
    spread = np.sqrt((np.var(gains) * len(gains) + 0.1**2) / len(gains))
    return mean > 0 if abs(mean) * np.sqrt(len(gains)) > CLEAR * spread else None


def _explained(image: Pixels, mask: Pixels) -> float:
    """Share of the variance of a photo's colours between the classes of a mask (eta squared)."""
    size = min(SIDE, mask.shape[0]), min(SIDE, mask.shape[1])
    colours = resize(image, size).reshape(-1, 3).astype(np.float64)
    classes = resize(mask, size, labels=True).ravel()
    colours, classes = colours[classes != VOID], classes[classes != VOID]
    if not classes.size:
        return 0.0
    centred = colours - colours.mean(0)
    counts = np.bincount(classes, minlength=256)
    sums = np.stack([np.bincount(classes, centred[:, channel], minlength=256) for channel in range(3)])
    between = (sums**2 / np.maximum(counts, 1)).sum()
    return float(between / max(float((centred**2).sum()), 1e-9))
