"""One look at each file: size, depth, orientation, brightness and hash of an image; values of a mask."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from PIL import Image

from nas.errors import UserError
from tasks.data.doctor.sizes import Size
from tasks.data.files import read_image
from tasks.data.masks import MaskCode
from tasks.data.palettes import Colour
from tasks.data.sets import VOID

__all__ = ["ImageLook", "MaskLook", "class_pixels", "look_at_image", "look_at_mask"]

FLAT = 2.0
"""A standard deviation of grey values under which an image is one tone and has no hash to speak of."""

MANY = 4096
"""Distinct colours beyond which a mask is a photo or has soft edges, and they are no longer counted."""

SMALL = 128
"""Pixels a side that are enough for hashes and brightness: JPEGs are decoded at the scale next above."""

ORIENTATION = 0x0112
"""The EXIF tag that says how a photo is turned; from 5 on its sides change places."""


@dataclass(frozen=True)
class ImageLook:
    """What one look at an image tells.

    Attributes:
        path: the file.
        fault: why it cannot be read; the other attributes then mean nothing.
        size: height and width as shown, after EXIF's turn.
        stored: height and width in the file.
        turned: whether EXIF turns or mirrors it.
        mode: Pillow's name of the kind of its pixels.
        brightness: mean of its grey values, 0 to 255.
        contrast: their standard deviation.
        hash: 64 bits that near-copies share, None of a flat image.
    """

    path: Path
    fault: str | None = None
    size: Size = (0, 0)
    stored: Size = (0, 0)
    turned: bool = False
    mode: str = ""
    brightness: float = 0.0
    contrast: float = 0.0
    hash: imagehash.ImageHash | None = None


def look_at_image(path: Path) -> ImageLook:
    """Decode an image once, as small as its format allows."""
    try:
        with Image.open(path) as image:
            mode, orientation = image.mode, image.getexif().get(ORIENTATION, 1)
            width, height = image.size
            image.draft("L", (SMALL, SMALL))
            grey = image.convert("L")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return ImageLook(path, _fault(path, error))
    turned = orientation in range(2, 9)
    size = (width, height) if orientation in range(5, 9) else (height, width)
    pixels = np.asarray(grey, np.float32)
    contrast = float(pixels.std())
    return ImageLook(
        path,
        size=size,
        stored=(height, width),
        turned=turned,
        mode=mode,
        brightness=float(pixels.mean()),
        contrast=contrast,
        hash=None if contrast < FLAT else imagehash.phash(grey),
    )


def _fault(path: Path, error: Exception) -> str:
    """Why an image cannot be read, in the words that a search would use."""
    try:
        read_image(path)
    except UserError as told:
        return str(told)
    return f"{path} is broken: copy it again or remove it ({error})"


@dataclass(frozen=True)
class MaskLook:
    """What one look at a mask tells.

    Attributes:
        path: the file.
        fault: why it cannot be read; the other attributes then mean nothing.
        size: height and width.
        lossy: whether it is compressed with loss.
        values: pixels by value of an index or grey mask; empty of a colour mask.
        colours: pixels by colour of a colour mask or a palette; empty where there are none, or too many to count.
        many: whether there are too many colours to count.
        digest: the same for masks that are the same pixel for pixel.
    """

    path: Path
    fault: str | None = None
    size: Size = (0, 0)
    lossy: bool = False
    values: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] = field(default_factory=dict)
    many: bool = False
    digest: str = ""


def look_at_mask(path: Path) -> MaskLook:
    """Decode a mask once and count its values."""
    try:
        with Image.open(path) as image:
            lossy = image.format in ("JPEG", "MPO") or (image.format == "WEBP" and b"VP8 " in path.read_bytes()[12:64])
            image.load()
            values, colours, many = _counted(image)
            digest = hashlib.sha1(image.tobytes(), usedforsecurity=False).hexdigest()
            size = (image.height, image.width)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return MaskLook(path, _fault(path, error))
    return MaskLook(path, None, size, lossy, values, colours, many, digest)


def _counted(image: Image.Image) -> tuple[dict[int, int], dict[Colour, int], bool]:
    """Pixels by value, by colour, and whether there are too many colours."""
    if image.mode in ("1", "L", "P"):
        values = {value: count for value, count in enumerate(image.histogram()) if count}
    if image.mode == "P":
        table = image.getpalette() or []
        colours: dict[Colour, int] = {}
        for value, count in values.items():
            red, green, blue = (*table[3 * value : 3 * value + 3], 0, 0, 0)[:3]
            colours[red, green, blue] = colours.get((red, green, blue), 0) + count
        return values, colours, False
    if image.mode == "1":
        return {min(value, 1): count for value, count in values.items()}, {}, False
    if image.mode == "L":
        return values, {}, False
    if image.mode in ("LA", "La") or image.mode.startswith(("I", "F")):
        numbers = np.asarray(image.getchannel(0)) if image.mode in ("LA", "La") else np.asarray(image)
        found, counts = np.unique(numbers, return_counts=True)
        return {int(value): int(count) for value, count in zip(found, counts, strict=True)}, {}, False
    listed = image.convert("RGB").getcolors(MANY)
    if listed is None:
        return {}, {}, True
    colours = {(r, g, b): count for count, (r, g, b) in listed}  # type: ignore[misc]
    if all(r == g == b for r, g, b in colours):
        return {colour[0]: count for colour, count in colours.items()}, colours, False
    return {}, colours, False


def class_pixels(look: MaskLook, code: MaskCode, classes: int) -> np.ndarray:
    """Pixels of each class in a mask and, last, those of void; what means no class is not counted."""
    by_colour = bool(code.colours) and not code.by_index and bool(look.colours)
    counted: Mapping[Any, int] = look.colours if by_colour else look.values
    meaning: Mapping[Any, int] = code.colours if by_colour else code.values
    pixels = np.zeros(classes + 1, np.int64)
    for value, count in counted.items():
        index = meaning.get(value)
        if index is not None:
            pixels[classes if index == VOID else index] += count
    return pixels
