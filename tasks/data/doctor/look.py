"""Facts about single files: size, orientation, depth and brightness of an image; values of a mask."""

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

__all__ = ["ImageFacts", "MaskFacts", "inspect_header", "inspect_image", "inspect_mask"]

SMALL = 2 * SIDE
"""Pixels a side from which a thumbnail is made; a JPEG is decoded at the next larger scale."""

PLAIN = 8.0
"""Standard deviation of the grey values of a thumbnail below which the whole image is read."""


@dataclass(frozen=True)
class ImageFacts:
    """Facts about an image file.

    Attributes:
        path: the file.
        error: why it cannot be read, None if it can; otherwise the other attributes are not set.
        size: height and width as shown, with the EXIF orientation applied.
        orientation: EXIF orientation, 1 to 8.
        deep: whether it has more than 8 bits a channel.
        brightness: mean of the grey values, 0 to 255.
        contrast: standard deviation of the grey values.
        thumbnail: thumbnail as in `nas.tasks.data.thumbnails`.
    """

    path: Path
    error: str | None = None
    size: Size = (0, 0)
    orientation: int = 1
    deep: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    thumbnail: Pixels | None = None

    @property
    def stored(self) -> Size:
        """Height and width of the stored pixels."""
        return self.size[::-1] if self.orientation >= 5 else self.size


def inspect_image(path: Path) -> ImageFacts:
    """Find the facts about an image; a JPEG is decoded at a reduced size."""
    try:
        data = read_bytes(path)
        with decoder_errors(data, path):
            return _by_jpeg(data, path) or _decoded(data, path)
    except UserError as error:
        return ImageFacts(path, str(error))


def inspect_header(path: Path, thumbnail: Pixels) -> ImageFacts:
    """Find the facts about an image from its header and thumbnail, if they suffice."""
    header = read_header(path) if thumbnail.std() >= PLAIN else None
    if header is None:  # broken, or possibly of one tone
        return inspect_image(path)
    return ImageFacts(path, None, header.size, header.orientation, header.deep, *_greys(thumbnail), thumbnail)


def _by_jpeg(data: bytes, path: Path) -> ImageFacts | None:
    image = identify(data)
    if image is None or image.format not in ("JPEG", "MPO"):
        return None
    orientation, (width, height) = orientation_of(image), image.size
    image.draft("L", (SMALL, SMALL))
    size = (width, height) if orientation >= 5 else (height, width)
    thumbnail = apply_orientation(_squeezed(image.convert("L")), orientation)
    if thumbnail.std() < PLAIN:
        return None
    return ImageFacts(path, None, size, orientation, False, *_greys(thumbnail), thumbnail)


def _decoded(data: bytes, path: Path) -> ImageFacts:
    image = identify(data)
    pixels = decode_image(data, path)
    grey = Image.fromarray(EIGHT_BITS.apply(pixels)).convert("L")
    size = (pixels.shape[0], pixels.shape[1])
    orientation = 1 if image is None else orientation_of(image)
    deep = pixels.dtype != np.uint8
    return ImageFacts(path, None, size, orientation, deep, *_greys(np.asarray(grey)), _squeezed(grey))


def _squeezed(grey: Image.Image) -> Pixels:
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX))


def _greys(pixels: Pixels) -> tuple[float, float]:
    """Mean and standard deviation of grey values."""
    return float(pixels.mean()), float(pixels.std())


@dataclass(frozen=True)
class MaskFacts:
    """Facts about a mask file.

    Attributes:
        path: the file.
        error: why it cannot be read, None if it can.
        count: number of pixels by value and colour, None if it cannot be read.
    """

    path: Path
    error: str | None = None
    count: MaskCount | None = None

    @property
    def size(self) -> Size:
        """Height and width, (0, 0) if it cannot be read."""
        return self.count.size if self.count is not None else (0, 0)


def inspect_mask(path: Path) -> MaskFacts:
    """Find the facts about a mask."""
    try:
        return MaskFacts(path, None, count_stored(path, read_stored(path)))
    except UserError as error:
        return MaskFacts(path, str(error))
