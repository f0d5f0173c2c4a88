"""One look at each file: size, orientation, depth and brightness of an image; what a mask stores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nas.errors import UserError
from nas.tasks.data.decoding import (
    apply_orientation,
    decode_image,
    decoder_errors,
    identify,
    orientation_of,
    read_bytes,
    read_header,
)
from nas.tasks.data.depth import EIGHT_BITS
from nas.tasks.data.doctor.sizes import Size
from nas.tasks.data.mask_counts import MaskCount, count_stored
from nas.tasks.data.masks import read_stored
from nas.tasks.data.sets import Pixels
from nas.tasks.data.thumbnails import SIDE

__all__ = ["ImageLook", "MaskLook", "look_at_header", "look_at_image", "look_at_mask"]

SMALL = 2 * SIDE
"""Pixels a side that are enough for a thumbnail: a JPEG is decoded at the scale next above."""

PLAIN = 8.0
"""Standard deviation of a thumbnail's grey values under which the image itself is looked at."""


@dataclass(frozen=True)
class ImageLook:
    """What one look at an image tells.

    Attributes:
        path: the file.
        fault: why it cannot be read; the other attributes then mean nothing.
        size: height and width as shown, after EXIF's turn.
        orientation: EXIF's, 1 to 8.
        deep: whether it has more than 8 bits a channel.
        brightness: mean of its grey values, 0 to 255.
        contrast: their standard deviation, which is larger than that of a thumbnail where texture is fine.
        thumbnail: a small grey picture as shown, as `nas.tasks.data.thumbnails` has them.
    """

    path: Path
    fault: str | None = None
    size: Size = (0, 0)
    orientation: int = 1
    deep: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    thumbnail: Pixels | None = None

    @property
    def stored(self) -> Size:
        """Height and width before EXIF's turn."""
        return self.size[::-1] if self.orientation >= 5 else self.size


def look_at_image(path: Path) -> ImageLook:
    """Decode an image once, a JPEG no larger than is needed."""
    try:
        data = read_bytes(path)
        with decoder_errors(data, path):
            return _by_jpeg(data, path) or _decoded(data, path)
    except UserError as error:
        return ImageLook(path, str(error))


def look_at_header(path: Path, thumbnail: Pixels) -> ImageLook:
    """The same of an image whose thumbnail is there already, without decoding it."""
    header = read_header(path) if thumbnail.std() >= PLAIN else None
    if header is None:  # broken, or perhaps of one tone
        return look_at_image(path)
    return ImageLook(path, None, header.size, header.orientation, header.deep, *_greys(thumbnail), thumbnail)


def _by_jpeg(data: bytes, path: Path) -> ImageLook | None:
    image = identify(data)
    if image is None or image.format not in ("JPEG", "MPO"):
        return None
    orientation, (width, height) = orientation_of(image), image.size
    image.draft("L", (SMALL, SMALL))
    size = (width, height) if orientation >= 5 else (height, width)
    thumbnail = apply_orientation(_squeezed(image.convert("L")), orientation)
    if thumbnail.std() < PLAIN:
        return None
    return ImageLook(path, None, size, orientation, False, *_greys(thumbnail), thumbnail)


def _decoded(data: bytes, path: Path) -> ImageLook:
    image = identify(data)
    pixels = decode_image(data, path)
    grey = Image.fromarray(EIGHT_BITS.apply(pixels)).convert("L")
    size = (pixels.shape[0], pixels.shape[1])
    orientation = 1 if image is None else orientation_of(image)
    deep = pixels.dtype != np.uint8
    return ImageLook(path, None, size, orientation, deep, *_greys(np.asarray(grey)), _squeezed(grey))


def _squeezed(grey: Image.Image) -> Pixels:
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX))


def _greys(pixels: Pixels) -> tuple[float, float]:
    """Mean and standard deviation."""
    return float(pixels.mean()), float(pixels.std())


@dataclass(frozen=True)
class MaskLook:
    """What one look at a mask tells.

    Attributes:
        path: the file.
        fault: why it cannot be read.
        count: its pixels by value and colour, None if it cannot be read.
    """

    path: Path
    fault: str | None = None
    count: MaskCount | None = None

    @property
    def size(self) -> Size:
        """Height and width; 0 if it cannot be read."""
        return self.count.size if self.count is not None else (0, 0)


def look_at_mask(path: Path) -> MaskLook:
    """Decode a mask once and count its values."""
    try:
        return MaskLook(path, None, count_stored(path, read_stored(path)))
    except UserError as error:
        return MaskLook(path, str(error))
