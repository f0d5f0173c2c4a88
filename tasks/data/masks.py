"""Reading label masks of every usual kind: index, palette and colour images, each to class indices."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from nas.errors import UserError
from tasks.data.files import decode_image, read_bytes
from tasks.data.palettes import Colour
from tasks.data.sets import Pixels

__all__ = ["MaskCode", "mask_values", "png_size", "read_mask"]

_PNG = b"\x89PNG\r\n\x1a\n"
_GREYS = {1: 255, 2: 85, 4: 17, 8: 1, 16: 1}


@dataclass(frozen=True)
class MaskCode:
    """How the pixels of a mask file name a class.

    Attributes:
        values: from the value of an index mask to a class index, or to 255 for void.
        colours: from an RGB colour to a class index, or to 255; empty where masks hold no colours.
        by_index: whether it is the indices of a palette PNG that name the classes, where some share a colour.
    """

    values: Mapping[int, int]
    colours: Mapping[Colour, int] = field(default_factory=dict)
    by_index: bool = False

    @cached_property
    def value_table(self) -> np.ndarray:
        """Class of each of 65536 values, -1 where the value means nothing."""
        table = np.full(1 << 16, -1, np.int16)
        table[list(self.values)] = list(self.values.values())
        return table

    @cached_property
    def colour_table(self) -> tuple[np.ndarray, np.ndarray]:
        """Packed colours in rising order, and the class of each."""
        packed = np.array([_pack(np.array(colour)) for colour in self.colours], np.int32)
        order = np.argsort(packed)
        return packed[order], np.array(list(self.colours.values()), np.int16)[order]


def read_mask(path: Path, code: MaskCode) -> Pixels:
    """Class indices of a mask file, H x W uint8, 255 where void.

    Raises:
        UserError: the file cannot be read, or holds a value or a colour that is no class.
    """
    pixels = _raw_mask(path, bool(code.colours), code.by_index)
    if pixels.ndim == 2:
        classes = code.value_table[pixels]
    elif code.colours:
        packed = _pack(pixels.astype(np.int32))
        known, of_known = code.colour_table
        at = np.minimum(np.searchsorted(known, packed), len(known) - 1)
        classes = np.where(known[at] == packed, of_known[at], -1)
    else:
        raise UserError(
            f"{path} is a colour mask, and the set does not say which colour is which class: "
            "give each class its colour in classes.json"
        )
    if (classes < 0).any():
        _refuse(path, pixels, classes < 0, code)
    return np.asarray(classes, np.uint8)


def mask_values(path: Path) -> frozenset[int]:
    """The values an index mask holds, void (255) included.

    Raises:
        UserError: the file cannot be read or is a colour image.
    """
    pixels = _raw_mask(path)
    if pixels.ndim != 2:
        raise UserError(
            f"{path} is a colour mask and there is no classes.json: write one beside the masks folder, "
            'such as [{"name": "road", "colour": [128, 64, 128]}, ...]'
        )
    return frozenset(int(value) for value in np.unique(pixels))


def _refuse(path: Path, pixels: np.ndarray, bad: np.ndarray, code: MaskCode) -> None:
    """Say which value of which file is no class."""
    first = pixels[bad][0]
    count = int((pixels == first).all(-1).sum()) if pixels.ndim == 3 else int((pixels == first).sum())
    what = f"colour {tuple(int(c) for c in first)}" if pixels.ndim == 3 else f"value {int(first)}"
    listed: list[str] = (
        [str(colour) for colour in code.colours] if pixels.ndim == 3 else [str(v) for v in sorted(code.values)]
    )
    known = ", ".join(listed[:12]) + (", ..." if len(listed) > 12 else "")
    raise UserError(f"{path}: {what} ({count} pixels) is no class of this set; known are {known}")


def _pack(colours: np.ndarray) -> np.ndarray:
    """... x 3 RGB as one integer each."""
    packed: np.ndarray = colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]
    return packed


def _raw_mask(path: Path, as_colours: bool = False, by_index: bool = True) -> np.ndarray:
    """The mask as stored: H x W values, or H x W x 3 RGB, whole numbers from 0 to 65535.

    OpenCV turns a palette PNG into colours. Where the indices are wanted, the file is given to it
    as a grey image instead, since both kinds store the same bytes.

    Raises:
        UserError: the file is compressed with loss, or holds other numbers.
    """
    data = read_bytes(path)
    if _lossy(data):
        raise UserError(f"{path}: JPEG changes class numbers along every edge: save masks as PNG")
    pixels = _decoded(data, path, as_colours, by_index)
    if pixels.dtype != np.uint8 and not _whole(pixels):
        raise UserError(f"{path} holds numbers that are no whole ones from 0 to 65535: save it as an index PNG")
    return pixels if pixels.dtype.kind in "iu" else pixels.astype(np.int32)


def _decoded(data: bytes, path: Path, as_colours: bool, by_index: bool) -> np.ndarray:
    depth = _palette_depth(data)
    if depth and (by_index or not as_colours):
        pixels = decode_image(_palette_as_grey(data), path, unchanged=True)
        return pixels // _GREYS[depth]
    pixels = decode_image(data, path, unchanged=True)
    if pixels.ndim == 3 and pixels.shape[2] == 2:
        return pixels[..., 0]
    if pixels.ndim == 3:
        pixels = pixels[..., 2::-1]
        grey = bool((pixels == pixels[..., :1]).all())
        if grey and not as_colours:
            return pixels[..., 0]
    elif not depth and pixels.dtype == np.uint8 and _grey_depth(data) in (1, 2, 4):
        return pixels // _GREYS[_grey_depth(data)]
    return pixels


def _whole(pixels: np.ndarray) -> bool:
    """Whether every number is a whole one from 0 to 65535."""
    return bool((pixels == np.floor(pixels)).all() and pixels.min() >= 0 and pixels.max() < 1 << 16)


def _lossy(data: bytes) -> bool:
    """Whether the bytes are of a JPEG or of a WebP image with a lossy part, whatever the file is called."""
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    return data.startswith(b"\xff\xd8") or (webp and b"VP8 " in data[12:])


def png_size(path: Path) -> tuple[int, int] | None:
    """Height and width by a PNG file's header, which is all that is read of it; None of other files.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        data = file.read(24)
    if not data.startswith(_PNG) or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:])
    return height, width


def _png_header(data: bytes) -> tuple[int, int] | None:
    """Bit depth and colour type of a PNG, None for other files."""
    return (data[24], data[25]) if data.startswith(_PNG) and len(data) > 33 else None


def _palette_depth(data: bytes) -> int:
    header = _png_header(data)
    return header[0] if header and header[1] == 3 else 0


def _grey_depth(data: bytes) -> int:
    header = _png_header(data)
    return header[0] if header and header[1] == 0 else 0


def _palette_as_grey(data: bytes) -> bytes:
    """The same PNG declared grey: colour type 0, without its palette (PNG specification, 11.2)."""
    parts, at = [_PNG], len(_PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IHDR":
            body = body[:9] + b"\x00" + body[10:]
        if kind in (b"IHDR", b"IDAT", b"IEND"):
            check = struct.pack(">I", zlib.crc32(kind + body))
            parts.append(struct.pack(">I", len(body)) + kind + body + check)
    return b"".join(parts)
