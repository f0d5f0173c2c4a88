"""Small grey pictures of images, to compare many of them quickly."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from nas.tasks.data.files import BrokenImageError
from nas.tasks.data.items import FileItem
from nas.tasks.data.parallel import threaded
from nas.tasks.data.sets import Pixels

__all__ = ["SIDE", "difference", "thumbnails"]

SIDE = 32
"""Pixels a side of a thumbnail."""

# Pillow notes every oddity of a file's tags here.
logging.getLogger("PIL").setLevel(logging.WARNING)


def thumbnails(items: Sequence[FileItem], bar: tqdm[Any]) -> Pixels:
    """N x 32 x 32 uint8, squeezed to a square; black where an image cannot be read, which is said elsewhere."""
    found = threaded(_thumbnail, items, bar)
    return np.stack(found) if found else np.zeros((0, SIDE, SIDE), np.uint8)


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean squared difference of thumbnails over the sum of their variances: ... x 32 x 32, twice, to ...

    0 for the same picture and about 1 for pictures that have nothing to do with each other.
    """
    one, other = one.astype(np.float32), other.astype(np.float32)
    between: np.ndarray = ((one - other) ** 2).mean((-2, -1))
    return between / (one.var((-2, -1)) + other.var((-2, -1)) + 1)


def _thumbnail(item: FileItem) -> Pixels:
    try:
        return _by_pillow(item.image_path)
    except Exception:  # Pillow raises errors of many kinds; what can be read otherwise is
        return _decoded(item)


def _by_pillow(path: Path) -> Pixels:
    from PIL import Image, ImageOps

    with Image.open(path) as picture:
        if picture.mode.startswith(("I", "F")):
            raise ValueError("Pillow cuts off what is deeper than 8 bits")
        # A JPEG is decoded at an eighth of its size where that is enough.
        picture.draft("L", (2 * SIDE, 2 * SIDE))
        grey = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        grey.getexif()[0x0112] = picture.getexif().get(0x0112, 1)
        return np.asarray(ImageOps.exif_transpose(grey))


def _decoded(item: FileItem) -> Pixels:
    import cv2

    try:
        grey = cv2.cvtColor(item.image(), cv2.COLOR_RGB2GRAY)
    except BrokenImageError:
        return np.zeros((SIDE, SIDE), np.uint8)
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
