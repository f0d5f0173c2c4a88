"""Masks with soft edges, from resizing, smoothing or JPEG: the levels of their regions, and what lies between.

A class has regions, so most of its pixels have neighbours of the same value. A value that smoothing made lies along
edges only. Pixels whose 3 x 3 neighbourhood is of one value, here called flat, tell the two apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.tasks.data.masks import MaskCode, read_stored
from nas.tasks.data.parallel import progress_bar, threaded

__all__ = ["Levels", "find_levels"]

FAR = 64
"""Least distance between the values of two classes that smoothing can lie between."""

MOST_BETWEEN = 0.4
"""The share of all pixels that may lie between two levels; a photo has more."""

MOST_FLAT = 0.02
"""The share of all flat pixels that values between two levels may have, for there to be no third one."""


@dataclass(frozen=True)
class Levels:
    """The values of a set's masks, by whether they fill regions.

    Attributes:
        regions: values that fill regions, in rising order.
        edges: values that lie along edges only.
        two: the two levels of black and white masks with soft edges; None where the masks are not such.
    """

    regions: tuple[int, ...]
    edges: tuple[int, ...]
    two: tuple[int, int] | None

    @property
    def soft(self) -> bool:
        """Whether most values lie along edges only."""
        return len(self.edges) >= 4 and len(self.edges) >= len(self.regions)


def find_levels(masks: Sequence[Path], code: MaskCode, what: str, progress: bool) -> Levels:
    """Look at the neighbourhoods of all pixels of all masks of one channel with values up to 255."""

    def count(path: Path) -> np.ndarray:
        return _histograms(read_stored(path).naming(code))

    with progress_bar(len(masks), f"{what} edges", progress) as bar:
        all_, flat = sum(threaded(count, masks, bar), start=np.zeros((2, 256), np.int64))
    there = np.flatnonzero(all_)
    fills = flat[there] >= 0.1 * all_[there]
    regions, edges = (tuple(map(int, there[chosen])) for chosen in (fills, ~fills))
    return Levels(regions, edges, _two_levels(all_, flat))


def _histograms(pixels: np.ndarray) -> np.ndarray:
    """Pixels by value, and flat pixels by value: 2 x 256."""
    import cv2

    grey = np.ascontiguousarray(pixels, np.uint8)
    around = np.ones((3, 3), np.uint8)
    flat = grey[cv2.erode(grey, around) == cv2.dilate(grey, around)]
    return np.stack([np.bincount(values.ravel(), minlength=256) for values in (grey, flat)])


def _two_levels(pixels: np.ndarray, flat: np.ndarray) -> tuple[int, int] | None:
    """The two values that soft edges lie between, if there are two regions and softness at all."""
    values = np.flatnonzero(pixels)
    one = int(flat.argmax())
    far = np.abs(np.arange(256) - one) >= FAR
    if not (pixels[far] > 0).any():
        return None
    if (flat * far).any():
        other = int((flat * far).argmax())
    else:  # structures so thin that smoothing left none of them whole
        other = int(max(values, key=lambda value: abs(int(value) - one)))
    low, high = sorted((one, other))
    near = (high - low) // 8
    between = values[(values > low + near) & (values < high - near)]
    ghosts = [values[np.abs(values - level) <= near] for level in (low, high)]
    beyond = len(values) - len(between) - sum(map(len, ghosts))
    if beyond or (len(between) < 3 and min(map(len, ghosts)) < 3):
        return None
    if pixels[between].sum() > MOST_BETWEEN * pixels.sum():
        return None
    if flat[between].sum() > MOST_FLAT * flat.sum() or flat[between].sum() > 0.3 * pixels[between].sum():
        return None
    # What lies around a level are its ghosts, and no classes of their own, where most of it is flat at the level.
    whole = all(flat[level] >= 0.5 * flat[ghost].sum() for level, ghost in zip((low, high), ghosts, strict=True))
    return (low, high) if whole else None
