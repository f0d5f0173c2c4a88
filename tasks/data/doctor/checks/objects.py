"""Check for objects that are too small for the working size, so that they vanish when masks are resized."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nas.errors import UserError
from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.doctor.sizes import Size
from nas.tasks.data.masks import read_mask
from nas.tasks.data.parallel import progress_bar, threaded

__all__ = ["check_objects"]

MOST_MASKS = 24
"""Largest number of masks that are read, spread over the data set."""

SPECK = 9
"""Smallest number of pixels of a region that counts as an object."""

LOW = 4
"""Smallest height in pixels of an object that can be learnt."""

ENOUGH = 5
"""Smallest number of objects of a class to judge it by."""


def check_objects(examined: Examined) -> list[Finding]:
    """Find classes with half of the objects below four pixels high, or gone, at the working size."""
    size = examined.size or examined.suggested
    code = examined.members.code
    paths = [facts.path for facts in examined.masks.values() if facts.error is None]
    if size is None or code is None or not paths:
        return []

    def measure(place: float) -> list[tuple[int, float, bool]]:
        try:
            return list(_objects(read_mask(paths[int(place)], code), size))
        except UserError:  # reported by other checks
            return []

    places = np.linspace(0, len(paths) - 1, min(MOST_MASKS, len(paths))).tolist()
    with progress_bar(len(places), "objects", False) as bar:
        objects = [each for found in threaded(measure, places, bar) for each in found]
    lost = []
    for index, name in enumerate(examined.members.classes):
        heights = [height for label, height, _ in objects if label == index]
        gone = sum(vanished for label, _, vanished in objects if label == index)
        if len(heights) < ENOUGH:
            continue
        if np.median(heights) < LOW or 2 * gone > len(heights):
            lost.append(
                f"{name} (half are {np.median(heights):.1f} pixels high or less, {gone / len(heights):.0%} vanish)"
            )
    if not lost:
        return []
    return [
        Finding(
            "note",
            f"At {size[0]}x{size[1]} half of the objects of some classes are too small to learn",
            tuple(lost),
            "Give a larger --size, or cut the images into tiles; the scores of such classes mean little.",
        )
    ]


def _objects(mask: np.ndarray, size: Size) -> Iterator[tuple[int, float, bool]]:
    """Class of each connected region, its height at the working size, and whether it vanishes there."""
    import cv2

    rows, columns = (
        ((np.arange(n) + 0.5) * length / n).astype(int) for n, length in zip(size, mask.shape, strict=True)
    )
    for label in np.unique(mask):
        regions, of_pixel, stats, _ = cv2.connectedComponentsWithStats((mask == label).astype(np.uint8))
        left = np.zeros(regions, bool)
        left[np.unique(of_pixel[rows][:, columns])] = True
        for region in range(1, regions):
            if stats[region, cv2.CC_STAT_AREA] >= SPECK:
                height = stats[region, cv2.CC_STAT_HEIGHT] * size[0] / mask.shape[0]
                yield int(label), float(height), not left[region]
