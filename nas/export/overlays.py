"""Pictures of class maps: colours, and overlays on the photo that leave its background as it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

__all__ = ["background_classes", "colour_map", "overlay"]

Colours = Sequence[tuple[int, int, int]]

_BACKGROUND = {"background", "_background_", "bg", "void", "unlabelled", "unlabeled"}


def background_classes(classes: Sequence[str], palette: Colours) -> frozenset[int]:
    """The classes that an overlay leaves bare: by name or in black; else the first of two."""
    found = {
        index
        for index, (name, colour) in enumerate(zip(classes, palette, strict=True))
        if name.strip().lower() in _BACKGROUND or max(colour) == 0
    }
    return frozenset(found or ({0} if len(classes) == 2 else ()))


def colour_map(mask: np.ndarray, palette: Colours) -> np.ndarray:
    """Class indices H x W uint8 as RGB H x W x 3; what is no class (255, void) is black."""
    import cv2

    table = np.zeros((1, 256, 3), np.uint8)
    table[0, : len(palette)] = palette
    return np.asarray(cv2.LUT(cv2.merge([mask] * 3), table))


def overlay(
    image: np.ndarray, mask: np.ndarray, palette: Colours, opacity: float = 0.5, bare: Collection[int] = ()
) -> np.ndarray:
    """The classes' colours laid over an RGB image H x W x 3 uint8, with their outlines.

    A colour may brighten the photo but does not darken it, unless `opacity` is over 0.5, of which 1 hides the photo.
    The classes in `bare` and void show the photo as it is; `opacity` 0 draws the outlines alone.
    """
    import cv2

    colours = colour_map(mask, palette)
    painted = cv2.addWeighted(image, 1 - opacity, colours, opacity, 0)
    grey, darker = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (image, painted))
    lift = cv2.subtract(grey, darker)
    if opacity > 0.5:
        lift = cv2.convertScaleAbs(lift, alpha=2 - 2 * opacity)
    painted = cv2.add(painted, cv2.merge([lift] * 3))
    painted = cv2.copyTo(colours, _outlines(mask), painted)
    hidden = np.full(256, 255, np.uint8)
    hidden[[index for index in range(len(palette)) if index not in bare]] = 0
    return np.asarray(cv2.copyTo(image, cv2.LUT(mask, hidden), painted))


def _outlines(mask: np.ndarray) -> np.ndarray:
    """Not 0 where a pixel's class is not that of all around it, as wide as suits a picture of that size."""
    import cv2

    width = 2 * max(1, round(min(mask.shape) / 500)) + 1
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((width, width), np.uint8)))
