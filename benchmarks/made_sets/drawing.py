"""Drawing functions: smooth noise, uneven outlines, lighting, blur and grain."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

__all__ = ["Drawn", "any_colour", "clouds", "fill", "finished", "outline"]

Drawn = tuple[np.ndarray, np.ndarray]
"""RGB image, H x W x 3 uint8, and mask, H x W uint8."""


def clouds(rng: np.random.Generator, size: tuple[int, int], cells: int) -> np.ndarray:
    """Return smooth noise from 0 to 1, H x W float32, with about `cells` patches along each side."""
    height, width = size
    coarse = rng.random((cells + 1, cells + 1)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)


def outline(
    rng: np.random.Generator, centre: tuple[float, float], radii: tuple[float, float], uneven: float, angle: float = 0.0
) -> np.ndarray:
    """Return an uneven ellipse, 32 x 2 points (x, y).

    Args:
        rng: random generator.
        centre: (x, y).
        radii: along its axes.
        uneven: relative size of its bumps.
        angle: rotation in radians.
    """
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    bumps = sum(
        rng.normal(0, uneven) / waves * np.cos(waves * turn + rng.uniform(0, 2 * np.pi)) for waves in range(2, 5)
    )
    x, y = radii[0] * (1 + bumps) * np.cos(turn), radii[1] * (1 + bumps) * np.sin(turn)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y], axis=1)


def fill(mask: np.ndarray, points: np.ndarray, value: int) -> np.ndarray:
    """Fill an outline in a mask with a class, and return its interior, H x W bool."""
    inside = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(points).astype(np.int32)], 1)
    mask[inside > 0] = value
    return inside > 0


def any_colour(rng: np.random.Generator) -> np.ndarray:
    """Return a random RGB colour from 0 to 1, with any saturation."""
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.random(), rng.uniform(0.1, 1.0)), np.float32)


def finished(rng: np.random.Generator, image: np.ndarray, blur: float, grain: float, uneven: float) -> np.ndarray:
    """Add uneven lighting, blur and grain to an image H x W x 3 from 0 to 1, and convert it to uint8."""
    light = 1 - uneven * clouds(rng, image.shape[:2], 2)[..., None]
    seen = cv2.GaussianBlur(image * light, (0, 0), blur) if blur > 0 else image * light
    seen = seen + rng.normal(0, grain, image.shape[:2])[..., None]
    return (255 * seen.clip(0, 1)).round().astype(np.uint8)
