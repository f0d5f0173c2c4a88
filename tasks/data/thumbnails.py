"""Thumbnails: small grey versions of images, which are quick to compare."""

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

__all__ = ["SIDE", "difference", "make_thumbnails"]

SIDE = 32
"""Pixels a side of a thumbnail."""

# Pillow logs every unusual tag of a file.
logging.getLogger("PIL").setLevel(logging.WARNING)


def make_thumbnails(items: Sequence[FileItem], bar: tqdm[Any]) -> Pixels:
    """Make grey thumbnails, N x 32 x 32 uint8, squeezed to a square; black for images that cannot be read.

    Args:
        items: the images.
        bar: progress bar, updated by each image.
    """
    found = threaded(_thumbnail, items, bar)
    return np.stack(found) if found else np.zeros((0, SIDE, SIDE), np.uint8)


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean squared difference of thumbnails over the sum of their variances.

    It is 0 for equal pictures and about 1 for unrelated ones.

    Args:
        one, other: thumbnails, ... x 32 x 32.
    """
    one, other = one.astype(np.float32), other.astype(np.float32)
    between: np.ndarray = ((one - other) ** 2).mean((-2, -1))
    return between / (one.var((-2, -1)) + other.var((-2, -1)) + 1)


def _thumbnail(item: FileItem) -> Pixels:
    try:
        return _by_pillow(item.image_path)
    except Exception:  # Pillow raises errors of many kinds; other decoders may succeed
        return _decoded(item)


def _by_pillow(path: Path) -> Pixels:
    from PIL import Image, ImageOps

    with Image.open(path) as picture:
        if picture.mode.startswith(("I", "F")):
            raise ValueError("Pillow would clip more than 8 bits")
        # Decodes a JPEG at a fraction of its size.
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
