"""Blobs on an uneven background, as under a microscope; some images are inverted."""

from __future__ import annotations

import numpy as np

from benchmarks.made_sets.drawing import Drawn, clouds, fill, finished, outline

__all__ = ["CLASSES", "SIZE", "draw"]

CLASSES = ("background", "blob")
SIZE = (256, 320)


def draw(rng: np.random.Generator, size: tuple[int, int]) -> Drawn:
    """Draw 60 to 100 blobs whose brightness and size vary within and between images."""
    scale = size[0] / SIZE[0]
    mask = np.zeros(size, np.uint8)
    ground = rng.uniform(0.1, 0.35) + rng.uniform(0.05, 0.3) * clouds(rng, size, int(rng.integers(2, 6)))
    contrast, radius = rng.uniform(0.35, 0.65), rng.uniform(6, 11)
    image = ground.copy()
    for _ in range(rng.integers(60, 101)):
        centre = rng.uniform(0, size[1]), rng.uniform(0, size[0])
        own = scale * radius * rng.uniform(0.5, 1.5)
        radii = own, own * rng.uniform(0.6, 1.0)
        inside = fill(mask, outline(rng, centre, radii, 0.12, rng.uniform(0, np.pi)), 1)
        # Some are hollow, some hardly brighter than other parts of the background.
        image[inside] = ground[inside] + contrast * rng.uniform(0.3, 1.2)
        if rng.random() < 0.3:
            core = fill(np.zeros_like(mask), outline(rng, centre, (radii[0] / 2, radii[1] / 2), 0.1), 1)
            image[core] -= contrast * rng.uniform(0.0, 0.3)
    image = image + 0.1 * (clouds(rng, size, 24) - 0.5)
    if rng.random() < 0.1:
        image = 1 - image
    tint = 1 - rng.uniform(0, 0.15, 3)
    photo = finished(
        rng, image[..., None] * tint, scale * rng.uniform(0.5, 1.8), rng.uniform(0.02, 0.07), rng.uniform(0.1, 0.5)
    )
    return photo, mask
