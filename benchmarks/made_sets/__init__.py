"""Small data sets drawn by program, to develop on and to measure with: no two images are alike, and none is real."""

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
"""The number of the first image that is held out: the same ones however many others are drawn."""


@dataclass(frozen=True)
class Maker:
    """How the images of a set are drawn.

    Attributes:
        classes: names of the classes; a mask holds indices into it.
        size: height and width it is meant for, in pixels.
        draw: from random numbers and a size (H, W) to an image and its classes.
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
    """Draw images of a set, each known by its number: the same whatever else is drawn.

    Args:
        name: one of MAKERS.
        numbers: which images.
        size: height and width they are drawn at; None for the maker's own.
        seed: of the set.
        shown: height and width they are then brought to, as loading a folder does; None to leave them.
    """
    maker = MAKERS[name]
    drawn = [_drawn(maker, (seed, zlib.crc32(name.encode()), number), size or maker.size, shown) for number in numbers]
    images, masks = (np.stack(part) for part in zip(*drawn, strict=True))
    return ImageSet(images, masks, tuple(f"{name}_{number:04d}" for number in numbers))


def _drawn(maker: Maker, seed: tuple[int, ...], size: tuple[int, int], shown: tuple[int, int] | None) -> Drawn:
    image, mask = maker.draw(np.random.default_rng(seed), size)
    return resize(image, shown), resize(mask, shown, labels=True)
