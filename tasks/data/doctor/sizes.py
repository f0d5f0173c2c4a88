"""Which working size suits a set: its usual shape, affordable on the device, never above the photos' own."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

__all__ = ["AREA", "Size", "same_shape", "suggest_size", "usual_shape"]

Size = tuple[int, int]
"""Height and width in pixels."""

AREA = {"cpu": 25_000, "cuda": 262_000}
"""Pixels an image that a search of 200 candidates can afford."""

STEP = 16
"""Encoders reduce up to 16 times; sides that are multiples of it need no padding."""

SLACK = 1.15
"""How far above the affordable area a size may be that keeps the shape better."""

SAME_SHAPE = 1.1
"""Ratios of width to height within this factor count as one shape."""


def same_shape(one: float, other: float, within: float = SAME_SHAPE) -> bool:
    """Whether two ratios of width to height are about the same."""
    return max(one / other, other / one) <= within


def usual_shape(sizes: Sequence[Size]) -> tuple[float, float]:
    """The ratio of width to height that most images have, and the share of the images that have it."""
    ratios = np.sort([math.log(width / height) for height, width in sizes])
    near = math.log(SAME_SHAPE) + 1e-9
    first = np.searchsorted(ratios, ratios - near, "left")
    last = np.searchsorted(ratios, ratios + near, "right")
    centre = int((last - first).argmax())
    alike = ratios[first[centre] : last[centre]]
    return float(np.exp(np.median(alike))), len(alike) / len(ratios)


def suggest_size(sizes: Sequence[Size], device: str = "cpu") -> Size:
    """A working size for images of these sizes: multiples of 16 of about the usual shape.

    Args:
        sizes: height and width of each image, at least one.
        device: "cpu" or "cuda", which decides the area that can be afforded.
    """
    ratio, _ = usual_shape(sizes)
    alike = [size for size in sizes if same_shape(size[1] / size[0], ratio)]
    height, width = Counter(alike).most_common(1)[0][0]
    affordable = AREA[device]
    if height * width <= affordable:
        return _whole(height), _whole(width)
    choices = [
        (h, w)
        for h in range(STEP, height + 1, STEP)
        for w in range(STEP, width + 1, STEP)
        if h * w <= SLACK * affordable
    ]
    if not choices:  # a strip thinner than 16 pixels
        return _whole(height), _whole(max(1, min(width, affordable // height)))

    def badness(size: Size) -> float:
        shape = abs(math.log(size[1] / size[0] / ratio))
        area = abs(math.log(size[0] * size[1] / affordable))
        return 3 * shape + area

    return min(choices, key=badness)


def _whole(length: int) -> int:
    """The largest multiple of 16 that is not longer, or the length itself if that is under 16."""
    return length // STEP * STEP or length
