"""Grey regions that differ in texture only: brightness and location do not depend on the class."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from benchmarks.made_sets.drawing import Drawn, clouds, finished

__all__ = ["CLASSES", "SIZE", "draw"]

SIZE = (240, 240)


def _stripes(rng: np.random.Generator, size: tuple[int, int], period: float) -> np.ndarray:
    rows, columns = np.indices(size)
    angle = rng.uniform(0, np.pi)
    return np.sin((np.cos(angle) * rows + np.sin(angle) * columns) * 2 * np.pi / period)


def _checks(rng: np.random.Generator, size: tuple[int, int], period: float) -> np.ndarray:
    rows, columns = np.indices(size)
    angle = rng.uniform(0, np.pi / 2)
    one, two = np.cos(angle) * rows + np.sin(angle) * columns, np.cos(angle) * columns - np.sin(angle) * rows
    return np.sign(np.sin(one * 2 * np.pi / period) * np.sin(two * 2 * np.pi / period))


def _grains(rng: np.random.Generator, size: tuple[int, int], period: float) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.normal(size=size), (0, 0), period / 6)
    return (noise / noise.std()).clip(-1.5, 1.5)


def _dots(rng: np.random.Generator, size: tuple[int, int], period: float) -> np.ndarray:
    seeds = (rng.random(size) < 0.6 / period**2).astype(np.uint8)
    discs = cv2.dilate(seeds, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (int(period / 2) | 1,) * 2))
    return 2.0 * discs - 2.0 * discs.mean()


_TEXTURES: dict[str, Callable[[np.random.Generator, tuple[int, int], float], np.ndarray]] = {
    "plain": lambda rng, size, period: np.zeros(size),
    "stripes": _stripes,
    "checks": _checks,
    "grains": _grains,
    "dots": _dots,
}
CLASSES = tuple(_TEXTURES)


def draw(rng: np.random.Generator, size: tuple[int, int]) -> Drawn:
    """Draw four to nine regions with a texture each, as bent Voronoi cells of random points."""
    rows, columns = np.indices(size)
    points = rng.uniform(0, 1, (rng.integers(4, 10), 2)) * size
    bend = 0.15 * size[0] * (clouds(rng, size, 5) - 0.5)
    region = np.argmin([(rows + bend - y) ** 2 + (columns - bend - x) ** 2 for y, x in points], axis=0)
    mask, image = np.zeros(size, np.uint8), np.zeros(size)
    for place in range(len(points)):
        kind = int(rng.integers(len(CLASSES)))
        period = size[0] / SIZE[0] * rng.uniform(8, 16)
        texture = rng.uniform(0.3, 0.7) + rng.uniform(0.08, 0.2) * _TEXTURES[CLASSES[kind]](rng, size, period)
        mask[region == place], image[region == place] = kind, texture[region == place]
    photo = finished(rng, image[..., None].repeat(3, 2), 0.5, rng.uniform(0.01, 0.03), rng.uniform(0, 0.4))
    return photo, mask
