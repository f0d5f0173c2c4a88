"""A dressed figure in front of a cluttered background: parts at their usual places, in any colour and pattern."""

from __future__ import annotations

import numpy as np

from benchmarks.made_sets.drawing import Drawn, any_colour, clouds, fill, finished, outline

__all__ = ["CLASSES", "SIZE", "draw"]

CLASSES = ("background", "skin", "hat", "top", "coat", "trousers", "shoes", "bag")
SIZE = (300, 200)


def draw(rng: np.random.Generator, size: tuple[int, int]) -> Drawn:
    """Draw one figure. Coat, hat and bag are optional; colours do not depend on the class."""
    mask, image = np.zeros(size, np.uint8), _clutter(rng, size)
    tall = size[0] * rng.uniform(0.22, 0.3)
    middle = np.array([size[1] * rng.uniform(0.35, 0.65), size[0] * rng.uniform(0.44, 0.54)])
    skin = np.array([0.95, 0.75, 0.6], np.float32) * rng.uniform(0.35, 1.0)

    def part(name: str, x: float, y: float, wide: float, high: float, colour: np.ndarray, lean: float = 0.0) -> None:
        """Draw a part; positions, relative to the middle, and radii are in units of the figure's size."""
        place = middle + tall * (np.array([x, y]) + rng.normal(0, 0.03, 2))
        radii = tall * wide * rng.uniform(0.85, 1.2), tall * high * rng.uniform(0.9, 1.1)
        inside = fill(mask, outline(rng, (place[0], place[1]), radii, 0.05, lean), CLASSES.index(name))
        image[inside] = (colour * _pattern(rng, size))[inside] if name != "skin" else colour

    top, coat, trousers, shoes = (any_colour(rng) for _ in range(4))
    part("skin", 0, -1.1, 0.2, 0.27, skin)
    stride = rng.uniform(0.12, 0.3)
    for side in (-1, 1):
        part("skin", side * stride, 1.0, 0.1, 0.5, skin)
        part("shoes", side * stride * 1.2, 1.48, 0.17, 0.09, shoes)
        part("trousers", side * stride * 0.8, 0.65, 0.17, rng.choice([0.3, 0.75]), trousers, -side * stride * 0.4)
        arm = side * rng.uniform(0.1, 0.7)
        part("skin", side * 0.5, -0.15, 0.09, 0.55, skin, -arm)
        part("top", side * 0.42, -0.4, 0.12, 0.35, top, -arm)
    part("top", 0, -0.25, 0.4, 0.6, top)
    if rng.random() < 0.5:
        for side in (-1, 1):
            part("coat", side * 0.33, 0.0, 0.17, rng.choice([0.7, 1.0]), coat, side * 0.08)
    if rng.random() < 0.5:
        part("hat", 0, -1.36, 0.28, 0.12, any_colour(rng))
    if rng.random() < 0.6:
        part("bag", rng.choice([-0.65, 0.65]), rng.uniform(0.1, 0.5), 0.24, 0.22, any_colour(rng))
    return finished(rng, image, rng.uniform(0.3, 1.0), rng.uniform(0.01, 0.04), rng.uniform(0, 0.5)), mask


def _clutter(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Return a background H x W x 3 of two colours with objects of any colour."""
    blend = clouds(rng, size, int(rng.integers(1, 6)))[..., None]
    image = blend * any_colour(rng) + (1 - blend) * any_colour(rng)
    for _ in range(rng.integers(0, 14)):
        centre = rng.uniform(0, size[1]), rng.uniform(0, size[0])
        radii = size[0] * rng.uniform(0.03, 0.2), size[0] * rng.uniform(0.03, 0.2)
        image[fill(np.zeros(size, np.uint8), outline(rng, centre, radii, 0.15), 1)] = any_colour(rng)
    return image


def _pattern(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Return plain, striped or patchy cloth, H x W x 1, as a factor of a colour."""
    kind = rng.integers(3)
    if kind == 0:
        return np.ones((*size, 1), np.float32)
    if kind == 1:
        rows, columns = np.indices(size)
        angle, width = rng.uniform(0, np.pi), size[0] * rng.uniform(0.01, 0.04)
        return (0.75 + 0.25 * np.sign(np.sin((np.cos(angle) * rows + np.sin(angle) * columns) / width)))[..., None]
    return 0.6 + 0.4 * clouds(rng, size, 12)[..., None]
