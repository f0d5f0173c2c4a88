"""The size that images are brought to where the user names none: of their shape, and affordable on the device."""

from __future__ import annotations

import math

__all__ = ["AREA", "STEP", "Size", "affordable", "affordable_pixels", "searched_pixels"]

Size = tuple[int, int]
"""Height and width in pixels."""

AREA = {"cpu": 25_000, "cuda": 262_000}
"""Pixels an image that a search of 200 candidates can afford."""

HOUR = 3600.0
"""Seconds of a search on CPUs that affords images of the full area."""

STEP = 16
"""Encoders reduce up to 16 times; sides that are multiples of it need no padding."""

LEAST_SEARCHED = 3_000
"""Pixels an image below which candidates are not compared, 48 x 64 or so."""

SLACK = 1.15
"""How far above the affordable area a size may be that keeps the shape better."""


def affordable_pixels(device: str, seconds: float | None = None) -> int:
    """Pixels an image that a search can afford.

    Args:
        device: "cpu" or "cuda".
        seconds: the time of the whole search, None for no limit. On a CPU a short one affords smaller images, by the
            square root, so that it tries more than a few candidates.
    """
    share = 1.0 if device != "cpu" or seconds is None else min(1.0, math.sqrt(seconds / HOUR))
    return int(AREA[device] * share)


def searched_pixels(device: str, pixels: int) -> int:
    """Pixels an image while candidates are compared, for a network that is exported at `pixels`.

    On a CPU a quarter: four times as many candidates in the same time. With 40 labelled photos of 8 classes 3,000 steps
    at 96 x 64 gave .70 mIoU, 900 at 176 x 112 in about the same time .64, and 900 at 96 x 64 .58: first steps count,
    then pixels.
    """
    return max(pixels // 4, LEAST_SEARCHED) if device == "cpu" else pixels


def affordable(size: Size, pixels: int | None) -> Size:
    """The size, or where it has more pixels than that a smaller one of about its shape, in multiples of 16."""
    height, width = size
    if pixels is None or height * width <= pixels:
        return size
    choices = [
        (h, w) for h in range(STEP, height + 1, STEP) for w in range(STEP, width + 1, STEP) if h * w <= SLACK * pixels
    ]
    if not choices:  # a strip thinner than 16 pixels
        return height, max(1, min(width, pixels // height))

    def badness(choice: Size) -> float:
        shape = abs(math.log(choice[1] / choice[0] / (width / height)))
        area = abs(math.log(choice[0] * choice[1] / pixels))
        return 3 * shape + area

    return min(choices, key=badness)
