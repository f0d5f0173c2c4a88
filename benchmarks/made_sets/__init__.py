"""Small synthetic data sets for development and benchmarks."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.made_sets import blobs, garments, shapes, textures
from benchmarks.made_sets.drawing import Drawn
from nas.tasks.data import ImageSet, resize

__all__ = ["HELD_OUT", "MAKERS", "Maker", "make"]

HELD_OUT = 100_000
"""Number of the first held-out image, so that held-out images do not depend on the number of others."""


@dataclass(frozen=True)
class Maker:
    """Generator of the images of a data set.

    Attributes:
        classes: names of the classes; masks hold their indices.
        size: default (height, width) in pixels.
        draw: function from a random generator and a size (H, W) to an image and its mask.
    """

    classes: tuple[str, ...]
    size: tuple[int, int]
    draw: Callable[[np.random.Generator, tuple[int, int]], Drawn]


MAKERS = {
    "blobs": Maker(blobs.CLASSES, blobs.SIZE, blobs.draw),
    "garments": Maker(garments.CLASSES, garments.SIZE, garments.draw),
    "shapes": Maker(shapes.CLASSES, shapes.SIZE, shapes.draw),
    "textures": Maker(textures.CLASSES, textures.SIZE, textures.draw),
}


def make(
    name: str, numbers: range, size: tuple[int, int] | None = None, seed: int = 0, shown: tuple[int, int] | None = None
) -> ImageSet:
    """Draw images of a data set. An image depends only on its number and the seed.

    Args:
        name: one of MAKERS.
        numbers: numbers of the images.
        size: (height, width) to draw at; None for the default.
        seed: seed of the data set.
        shown: (height, width) to resize to afterwards, as when a folder is loaded; None to keep the size.
    """
    maker = MAKERS[name]
    drawn = [_drawn(maker, (seed, zlib.crc32(name.encode()), number), size or maker.size, shown) for number in numbers]
    images, masks = (np.stack(part) for part in zip(*drawn, strict=True))
    return ImageSet(images, masks, tuple(f"{name}_{number:04d}" for number in numbers))


def _drawn(maker: Maker, seed: tuple[int, ...], size: tuple[int, int], shown: tuple[int, int] | None) -> Drawn:
    image, mask = maker.draw(np.random.default_rng(seed), size)
    return resize(image, shown), resize(mask, shown, labels=True)
