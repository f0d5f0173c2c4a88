"""Pictures of class maps: colours, overlays on the photo, and a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["colour_map", "legend", "overlay"]

Colours = Sequence[tuple[int, int, int]]


def colour_map(mask: np.ndarray, palette: Colours) -> np.ndarray:
    """Class indices H x W uint8 as RGB H x W x 3; what is no class (255, void) is black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return table[mask]


def overlay(image: np.ndarray, mask: np.ndarray, palette: Colours, opacity: float = 0.5) -> np.ndarray:
    """The classes' colours laid over an RGB image H x W x 3, `opacity` 1 hiding it; void leaves it bare."""
    import cv2

    painted = cv2.addWeighted(image, 1 - opacity, colour_map(mask, palette), opacity, 0)
    void = mask >= len(palette)
    painted[void] = image[void]
    return np.asarray(painted)


def legend(classes: Sequence[str], palette: Colours) -> np.ndarray:
    """An RGB picture that names each class beside its colour."""
    import cv2

    row, pad, font, size = 28, 8, cv2.FONT_HERSHEY_SIMPLEX, 0.5
    # The fonts of OpenCV 4 hold no letter beyond ASCII.
    names = [name.encode("ascii", "replace").decode() for name in classes]
    text = max((cv2.getTextSize(name, font, size, 1)[0][0] for name in names), default=0)
    picture = np.full((row * len(names) + pad, row + text + 3 * pad, 3), 255, np.uint8)
    for i, (name, colour) in enumerate(zip(names, palette, strict=True)):
        top = pad + i * row
        picture[top : top + row - pad, pad : pad + row] = colour
        cv2.putText(picture, name, (2 * pad + row, top + 15), font, size, (0, 0, 0), 1, cv2.LINE_AA)
    return picture
