"""Read index, palette and colour masks as class indices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError
from nas.tasks.data.decoding import (
    apply_orientation,
    channel_values,
    decode_deep,
    decoder_errors,
    identify,
    is_deep_colour,
    orientation_of,
    raw_mode,
    read_bytes,
)
from nas.tasks.data.palettes import Colour
from nas.tasks.data.sets import Pixels

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["LOSSY", "MaskCode", "StoredMask", "read_mask", "read_stored"]

LOSSY = "JPEG changes class numbers along every edge: save masks as PNG"

_STEPS = {"L;2": 85, "L;4": 17}
"""Factor by which Pillow scales the values of greyscale files with 2 or 4 bits to 0 to 255."""


@dataclass(frozen=True)
class MaskCode:
    """How the pixels of a mask file encode classes.

    Attributes:
        values: from the value of an index mask to a class index, or to 255 for void.
        colours: from an RGB colour to a class index, or to 255 for void; empty if masks are not read by colour.
        by_index: whether palette masks are read by their indices although `colours` are given, because some classes
            share a colour.
        shown: whether palette masks, and greyscale masks of fewer than 8 bits, are read by the shade they show (white
            is 255) instead of the index they store.
        alpha: whether masks are read by their opacity, because all pixels have the same colour.
        lossy: whether masks may be compressed with loss, because values between those of two classes have a meaning.
    """

    values: Mapping[int, int]
    colours: Mapping[Colour, int] = field(default_factory=dict)
    by_index: bool = False
    shown: bool = False
    alpha: bool = False
    lossy: bool = False

    @cached_property
    def value_table(self) -> np.ndarray:
        """Class of each of 65536 values, -1 for an unknown value."""
        table = np.full(1 << 16, -1, np.int16)
        table[list(self.values)] = list(self.values.values())
        return table

    @cached_property
    def colour_table(self) -> tuple[np.ndarray, np.ndarray]:
        """Packed colours in ascending order, and the class of each."""
        packed = np.array([_pack(np.array(colour)) for colour in self.colours], np.int32)
        order = np.argsort(packed)
        return packed[order], np.array(list(self.colours.values()), np.int16)[order]


@dataclass(frozen=True)
class StoredMask:
    """A mask as stored in its file, upright.

    Attributes:
        pixels: H x W values, or H x W x 3 RGB.
        step: factor from stored to shown values of greyscale masks: 255, 85 or 17 for 1, 2 or 4 bits, else 1.
        palette: colours of a palette mask, N x 3 RGB; None for other masks.
        alpha: H x W opacity, 255 if opaque; None without an alpha channel.
        lossy: whether the file is compressed with loss.
    """

    pixels: np.ndarray
    step: int = 1
    palette: np.ndarray | None = None
    alpha: np.ndarray | None = None
    lossy: bool = False

    def shown(self) -> np.ndarray:
        """Return the pixels as an image viewer shows them: H x W or H x W x 3."""
        if self.palette is not None:
            return self.palette[self.pixels]
        return self.pixels if self.step == 1 else self.pixels * np.uint8(self.step)

    def keys(self, code: MaskCode) -> np.ndarray:
        """Return the values, H x W, or colours, H x W x 3, that a code maps to classes."""
        if code.alpha and self.alpha is not None:
            return self.alpha
        if self.palette is not None:
            pixels = self.pixels if code.by_index or not (code.colours or code.shown) else self.shown()
        else:
            pixels = self.shown() if code.shown else self.pixels
        one_channel = pixels.ndim == 3 and not code.colours and bool((pixels == pixels[..., :1]).all())
        return pixels[..., 0] if one_channel else pixels


def read_mask(path: Path, code: MaskCode) -> Pixels:
    """Read class indices from a mask file: H x W uint8, 255 for void.

    Raises:
        UserError: the file cannot be read, or has a value or a colour of no class.
    """
    stored = read_stored(path)
    if stored.lossy and not code.lossy:
        raise UserError(f"{path}: {LOSSY}")
    pixels = stored.keys(code)
    if pixels.ndim == 2:
        classes = code.value_table[pixels]
    elif code.colours:
        packed = _pack(pixels.astype(np.int32))
        known, of_known = code.colour_table
        at = np.minimum(np.searchsorted(known, packed), len(known) - 1)
        classes = np.where(known[at] == packed, of_known[at], -1)
    else:
        raise UserError(
            f"{path} is a colour mask, but the classes have no colours: give each class its colour in classes.json"
        )
    if (classes < 0).any():
        _refuse(path, pixels, classes < 0, code)
    return np.asarray(classes, np.uint8)


def read_stored(path: Path) -> StoredMask:
    """Read a mask as stored in its file.

    Raises:
        BrokenImageError: the file cannot be read.
        UserError: it has values other than the integers 0 to 65535.
    """
    data = read_bytes(path)
    with decoder_errors(data, path):
        image = identify(data)
        if image is not None and not is_deep_colour(image):
            return _by_pillow(image, path)
        pixels = _whole(decode_deep(data, path), path)
    return StoredMask(pixels if pixels.ndim == 2 else _eight_bits(pixels, path))


def _by_pillow(image: Image.Image, path: Path) -> StoredMask:
    """Read a mask that Pillow can hold; the mode of the image tells what its pixels are."""
    raw = raw_mode(image)
    step = 255 if image.mode == "1" else _STEPS.get(raw, 1)
    lossy = image.format in ("JPEG", "MPO") or (image.format == "WEBP" and _lossy_webp(path))
    palette = alpha = None
    image.load()
    orientation = orientation_of(image)
    if image.mode == "P":
        palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        palette = np.concatenate([palette, np.zeros((256 - len(palette), 3), np.uint8)])
    elif "A" in image.getbands():
        alpha = np.asarray(image.getchannel("A"))
    if image.mode in ("1", "L", "LA"):
        pixels = np.asarray(image if image.mode != "LA" else image.getchannel("L")).astype(np.uint8)
        pixels = pixels if image.mode == "1" else pixels // step
    elif image.mode == "P":
        pixels = np.asarray(image)
    elif len(image.getbands()) == 1:
        pixels = _whole(channel_values(image), path)
    else:
        pixels = np.asarray(image.convert("RGB"))
    upright = None if alpha is None else apply_orientation(alpha, orientation)
    return StoredMask(apply_orientation(pixels, orientation), step, palette, upright, lossy)


def _refuse(path: Path, pixels: np.ndarray, bad: np.ndarray, code: MaskCode) -> None:
    """Raise the error that names the first value or colour of no class."""
    first = pixels[bad][0]
    count = int((pixels == first).all(-1).sum()) if pixels.ndim == 3 else int((pixels == first).sum())
    what = f"colour {tuple(int(c) for c in first)}" if pixels.ndim == 3 else f"value {int(first)}"
    listed: list[str] = (
        [str(colour) for colour in code.colours] if pixels.ndim == 3 else [str(v) for v in sorted(code.values)]
    )
    known = ", ".join(listed[:12]) + (", ..." if len(listed) > 12 else "")
    raise UserError(f"{path}: {what} ({count} pixels) is not a class of this data set; known are {known}")


def _pack(colours: np.ndarray) -> np.ndarray:
    """Pack RGB, ... x 3, into one integer each."""
    packed: np.ndarray = colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]
    return packed


def _whole(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Convert values to integers.

    Raises:
        UserError: some are not integers from 0 to 65535.
    """
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    if not ((pixels == np.floor(pixels)).all() and pixels.min() >= 0 and pixels.max() < 1 << 16):
        raise UserError(f"{path} has values other than the integers 0 to 65535: save it as an index PNG")
    return pixels.astype(np.int32)


def _eight_bits(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Convert colours of 16 bits a channel to 8 bits.

    Raises:
        UserError: this would lose information.
    """
    if pixels.max() <= 255:
        return pixels.astype(np.uint8)
    if (pixels % 257).any():
        raise UserError(f"{path} has colours of 16 bits a channel: save it with 8")
    return (pixels // 257).astype(np.uint8)


def _lossy_webp(path: Path) -> bool:
    """Whether a WebP file has a chunk that is compressed with loss ("VP8 ")."""
    return b"VP8 " in read_bytes(path)[12:]
