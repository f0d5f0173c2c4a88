"""Pictures of class maps: in the classes' colours, and as overlays on the photo."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

__all__ = ["background_classes", "colour_map", "overlay"]

Colours = Sequence[tuple[int, int, int]]

_BACKGROUND = {"background", "_background_", "bg", "void", "unlabelled", "unlabeled"}


def background_classes(classes: Sequence[str], palette: Colours) -> frozenset[int]:
    """Guess which classes are background: those named so or coloured black, or else the first of two classes."""
    found = {
        index
        for index, (name, colour) in enumerate(zip(classes, palette, strict=True))
        if name.strip().lower() in _BACKGROUND or max(colour) == 0
    }
    return frozenset(found or ({0} if len(classes) == 2 else ()))


def colour_map(mask: np.ndarray, palette: Colours) -> np.ndarray:
    """Colour class indices H x W uint8 as RGB H x W x 3 uint8. Void (255) and other values are black."""
    import cv2

    table = np.zeros((1, 256, 3), np.uint8)
    table[0, : len(palette)] = palette
    return np.asarray(cv2.LUT(cv2.merge([mask] * 3), table))


def overlay(
    image: np.ndarray, mask: np.ndarray, palette: Colours, opacity: float = 0.5, bare: Collection[int] = ()
) -> np.ndarray:
    """Blend the classes' colours and outlines over an RGB image H x W x 3 uint8.

    Args:
        image: the photo.
        mask: class indices H x W uint8.
        palette: RGB colour of each class.
        opacity: from 0, which only draws outlines, to 1, which hides the photo. Up to 0.5, colours brighten the photo
            but never darken it.
        bare: classes where the photo is left unchanged, as it is where the mask is void.
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
    """Non-zero at the borders between classes, with a line width that suits the size of the picture."""
    import cv2

    width = 2 * max(1, round(min(mask.shape) / 500)) + 1
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((width, width), np.uint8)))
