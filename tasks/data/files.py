"""Image files on disk: listing a folder, decoding one file, and saying which one is broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.errors import UserError
from tasks.data.sets import Pixels

__all__ = [
    "IMAGE_SUFFIXES",
    "OTHER_IMAGES",
    "BrokenImageError",
    "decode_image",
    "list_images",
    "read_bytes",
    "read_image",
    "resize",
]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


OTHER_IMAGES = (".avif", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jxl", ".ppm")
"""Of images of a kind that is not read."""


class BrokenImageError(UserError):
    """A file that should be an image and cannot be decoded."""


def list_images(folder: Path) -> dict[str, Path]:
    """Image files of a folder by stem, in the order of their names; hidden files are passed over.

    Raises:
        UserError: two files share a stem, so that a mask could not tell which is its own.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise UserError(f"{folder}: {found[path.stem].name} and {path.name} share a stem; rename one")
        found[path.stem] = path
    return found


def read_bytes(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        BrokenImageError: it cannot be read or is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BrokenImageError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise BrokenImageError(f"{path} is an empty file: copy it again or remove it")
    return data


def decode_image(data: bytes, path: Path, unchanged: bool = False) -> np.ndarray:
    """Decoded pixels in OpenCV's order: BGR uint8, or as stored where `unchanged`.

    A JPEG cut short decodes to grey below the cut without any error, so its end marker is looked
    for: no such marker can occur inside compressed data (ITU T.81, B.1.1.2). What phones append after it does no harm.

    Raises:
        BrokenImageError: the bytes are no image, or only part of one.
    """
    import cv2

    cut = data.startswith(b"\xff\xd8") and data.find(b"\xff\xd9", _scan_of_jpeg(data)) < 0
    flags = cv2.IMREAD_UNCHANGED if unchanged else cv2.IMREAD_COLOR
    try:
        pixels = None if cut else cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None and not cut and data.startswith((b"II*\0", b"MM\0*")):
        raise BrokenImageError(f"{path} does not decode: save it as a PNG, or as a TIFF of 8 or 16 bits a channel")
    if pixels is None:
        raise BrokenImageError(f"{path} is broken ({len(data)} bytes that do not decode): copy it again or remove it")
    return np.asarray(pixels)


def _scan_of_jpeg(data: bytes) -> int:
    """Where a JPEG's first scan begins, past its headers and the thumbnail in them."""
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in (b"", b"\xda"):
        # Any number of 0xff may stand before a marker; all those before a scan have a length.
        filler = data[at + 1] == 0xFF
        at += 1 if filler else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at if data[at : at + 2] == b"\xff\xda" else max(0, data.rfind(b"\xff\xda"))


def read_image(path: Path) -> Pixels:
    """An image file as RGB, H x W x 3 uint8.

    Raises:
        BrokenImageError: it cannot be read or decoded.
    """
    return np.ascontiguousarray(decode_image(read_bytes(path), path)[..., ::-1])


def resize(pixels: Pixels, size: tuple[int, int] | None, labels: bool = False) -> Pixels:
    """Pixels at `size` (H, W): labels by nearest; images by area, or linearly where they grow."""
    if size is None or pixels.shape[:2] == size:
        return pixels
    import cv2

    height, width = size
    shrinks = height <= pixels.shape[0] and width <= pixels.shape[1]
    how = cv2.INTER_NEAREST_EXACT if labels else cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
