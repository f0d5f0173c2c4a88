"""Many classes of small objects, each with a shape and a colour; most images contain only a few of the classes."""

from __future__ import annotations

import numpy as np

from benchmarks.made_sets.drawing import Drawn, clouds, fill, finished

__all__ = ["CLASSES", "SIZE", "draw"]

_COLOURS = {"red": (0.85, 0.2, 0.15), "green": (0.2, 0.7, 0.25), "blue": (0.2, 0.3, 0.9), "white": (0.95, 0.95, 0.9)}
_CORNERS = {"triangle": 3, "square": 4, "disc": 24}
_KINDS = tuple((shape, colour) for shape in (*_CORNERS, "star", "bar") for colour in _COLOURS)

CLASSES = ("background", *(f"{colour} {shape}" for shape, colour in _KINDS))
SIZE = (240, 320)


def draw(rng: np.random.Generator, size: tuple[int, int]) -> Drawn:
    """Draw 8 to 24 objects of four to ten classes on a background of any brightness."""
    mask = np.zeros(size, np.uint8)
    ground = rng.uniform(0.1, 0.4, 3) + 0.4 * clouds(rng, size, int(rng.integers(3, 9)))[..., None]
    image = ground.astype(np.float32)
    kinds = rng.choice(len(_KINDS), rng.integers(4, 11), replace=False)
    for kind in rng.choice(kinds, rng.integers(8, 25)):
        shape, colour = _KINDS[kind]
        centre = rng.uniform(0, 1, 2) * (size[1], size[0])
        points = centre + size[0] * rng.uniform(0.03, 0.07) * _corners(shape, rng.uniform(0, 2 * np.pi))
        inside = fill(mask, points, 1 + int(kind))
        image[inside] = (np.array(_COLOURS[colour]) + rng.normal(0, 0.06, 3)) * rng.uniform(0.5, 1.0)
    return finished(rng, image, rng.uniform(0.3, 1.2), rng.uniform(0.01, 0.05), rng.uniform(0, 0.4)), mask


def _corners(shape: str, angle: float) -> np.ndarray:
    """Return the corners of a shape with radius 1 around the origin, N x 2."""
    if shape == "bar":
        turn = np.array([0.25, np.pi - 0.25, np.pi + 0.25, -0.25])
        radius = np.full(4, 1.3)
    else:
        count = _CORNERS.get(shape, 10)
        turn = 2 * np.pi * np.arange(count) / count
        radius = np.where(np.arange(count) % 2, 0.45, 1.2) if shape == "star" else np.ones(count)
    return radius[:, None] * np.stack([np.cos(turn + angle), np.sin(turn + angle)], axis=1)
