"""Suggest a working size: the most common aspect ratio, affordable on the device, at most the size of the photos."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from nas.tasks.data.working_size import AREA, Size, affordable

__all__ = ["AREA", "Size", "same_shape", "suggest_size", "usual_shape"]

SAME_SHAPE = 1.1
"""Largest factor between aspect ratios that count as the same."""


def same_shape(one: float, other: float, within: float = SAME_SHAPE) -> bool:
    """Whether two aspect ratios (width over height) are about the same."""
    return max(one / other, other / one) <= within


def usual_shape(sizes: Sequence[Size]) -> tuple[float, float]:
    """Return the most common aspect ratio (width over height) and the share of images that have it."""
    ratios = np.sort([math.log(width / height) for height, width in sizes])
    near = math.log(SAME_SHAPE) + 1e-9
    first = np.searchsorted(ratios, ratios - near, "left")
    last = np.searchsorted(ratios, ratios + near, "right")
    centre = int((last - first).argmax())
    alike = ratios[first[centre] : last[centre]]
    return float(np.exp(np.median(alike))), len(alike) / len(ratios)


def suggest_size(sizes: Sequence[Size], device: str = "cpu") -> Size:
    """Suggest a working size in multiples of 16, of about the most common aspect ratio.

    Args:
        sizes: height and width of each image, at least one.
        device: "cpu" or "cuda", which decides the affordable area.
    """
    ratio, _ = usual_shape(sizes)
    alike = [size for size in sizes if same_shape(size[1] / size[0], ratio)]
    height, width = Counter(alike).most_common(1)[0][0]
    return affordable((height, width), AREA[device])
