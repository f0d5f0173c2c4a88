"""Find the levels of masks with soft edges from resizing, smoothing or JPEG compression.

Most pixels of a class have neighbours of the same value. Values that smoothing made lie along edges only. The two are
told apart by flat pixels, whose 3 x 3 neighbourhood has a single value.
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
"""Smallest distance between two levels with a soft edge between them."""

MOST_BETWEEN = 0.4
"""Largest share of the pixels between two levels; a photo has more."""

MOST_FLAT = 0.02
"""Largest share of the flat pixels between two levels; with more, there is a third level."""


@dataclass(frozen=True)
class Levels:
    """Mask values by whether they fill regions.

    Attributes:
        regions: values that fill regions, in ascending order.
        edges: values that lie along edges only.
        two: the two levels of black and white masks with soft edges; None for other masks.
    """

    regions: tuple[int, ...]
    edges: tuple[int, ...]
    two: tuple[int, int] | None

    @property
    def soft(self) -> bool:
        """Whether most values lie along edges only."""
        return len(self.edges) >= 4 and len(self.edges) >= len(self.regions)


def find_levels(masks: Sequence[Path], code: MaskCode, what: str, progress: bool) -> Levels:
    """Find the levels of masks with one channel and values up to 255.

    Args:
        masks: the mask files.
        code: how to read them.
        what: name of the data set, for the progress bar.
        progress: whether to show progress on standard error.
    """

    def count(path: Path) -> np.ndarray:
        return _histograms(read_stored(path).keys(code))

    with progress_bar(len(masks), f"{what} edges", progress) as bar:
        total, flat = sum(threaded(count, masks, bar), start=np.zeros((2, 256), np.int64))
    there = np.flatnonzero(total)
    fills = flat[there] >= 0.1 * total[there]
    regions, edges = (tuple(map(int, there[chosen])) for chosen in (fills, ~fills))
    return Levels(regions, edges, _two_levels(total, flat))


def _histograms(pixels: np.ndarray) -> np.ndarray:
    """Number of pixels and of flat pixels by value, 2 x 256."""
    import cv2

    grey = np.ascontiguousarray(pixels, np.uint8)
    around = np.ones((3, 3), np.uint8)
    flat = grey[cv2.erode(grey, around) == cv2.dilate(grey, around)]
    return np.stack([np.bincount(values.ravel(), minlength=256) for values in (grey, flat)])


def _two_levels(pixels: np.ndarray, flat: np.ndarray) -> tuple[int, int] | None:
    """The two levels, if there are exactly two and soft edges between them."""
    values = np.flatnonzero(pixels)
    one = int(flat.argmax())
    far = np.abs(np.arange(256) - one) >= FAR
    if not (pixels[far] > 0).any():
        return None
    if (flat * far).any():
        other = int((flat * far).argmax())
    else:  # structures so thin that smoothing left no flat pixel of them
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
    # Values near a level are its ghosts, not classes of their own, if most of their flat pixels have the level itself.
    whole = all(flat[level] >= 0.5 * flat[ghost].sum() for level, ghost in zip((low, high), ghosts, strict=True))
    return (low, high) if whole else None
