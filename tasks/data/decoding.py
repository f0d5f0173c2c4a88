"""From the bytes of an image file to pixels, upright.

Pillow reads all files. OpenCV reads what Pillow cannot hold: colours of more than 8 bits a channel, and some TIFFs.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError
from nas.tasks.data.formats import PILLOW_FORMATS, format_of

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "BrokenImageError",
    "Header",
    "decode_deep",
    "decode_image",
    "deep_colour",
    "identify",
    "naming_faults",
    "numbers",
    "orientation_of",
    "raw_mode",
    "read_bytes",
    "read_header",
    "stored_size",
    "turned",
]

# Pillow warns of damaged metadata and of large images; the first does no harm and the second is refused with a line.
warnings.filterwarnings("ignore", module=r"PIL\.")

_NUMBERS = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""Pillow's modes of one channel that hold more than 8 bits."""

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class BrokenImageError(UserError):
    """An image file that cannot be used: damaged, too large, or of a format that is not read."""


@dataclass(frozen=True)
class Header:
    """What an image file says of itself before its pixels are decoded.

    Attributes:
        size: height and width as shown, turned by EXIF.
        orientation: EXIF orientation, 1 to 8, where the stored pixels differ from what is shown; else 1.
        deep: whether it has more than 8 bits a channel.
    """

    size: tuple[int, int]
    orientation: int
    deep: bool

    @property
    def stored(self) -> tuple[int, int]:
        """Height and width as stored."""
        return self.size[::-1] if self.orientation >= 5 else self.size


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


def decode_image(data: bytes, path: Path) -> np.ndarray:
    """Pixels as shown: H x W x 3 RGB uint8; of more than 8 bits a channel, H x W or H x W x 3 of the stored type.

    Transparency is left out.

    Raises:
        BrokenImageError: the bytes are no image that is read, only part of one, or too many pixels.
    """
    with naming_faults(data, path):
        image = identify(data)
        if image is None or deep_colour(image):
            return decode_deep(data, path)
        if image.mode in _NUMBERS:
            return turned(numbers(image), orientation_of(image))
        image.load()
        image.info.pop("transparency", None)
        return turned(np.asarray(image if image.mode == "RGB" else image.convert("RGB")), orientation_of(image))


def decode_deep(data: bytes, path: Path) -> np.ndarray:
    """Pixels as shown of an image with more than 8 bits a channel: H x W or H x W x 3 RGB, by OpenCV.

    Raises:
        BrokenImageError: it does not decode.
    """
    import cv2

    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise BrokenImageError(
            f"{path} is broken, or of a kind that is not read: copy it again, or save it as PNG, or as TIFF of 8 or 16 "
            "bits a channel"
        )
    upright = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 2::-1])
    image = None if data.startswith(_TIFF) else identify(data)  # OpenCV always turns a TIFF
    return upright if image is None else turned(upright, orientation_of(image))


def identify(data: bytes) -> Image.Image | None:
    """The image as Pillow opens it, its pixels not decoded; None for a TIFF of a kind that only OpenCV knows.

    Raises:
        PIL.UnidentifiedImageError: it is no image of the formats that are read.
        PIL.Image.DecompressionBombError: it has too many pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(data), formats=PILLOW_FORMATS)
    except UnidentifiedImageError:
        if data.startswith(_TIFF):
            return None
        raise


def numbers(image: Image.Image) -> np.ndarray:
    """The pixels of an image of one channel, H x W, in the machine's byte order."""
    pixels = np.asarray(image)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def raw_mode(image: Image.Image) -> str:
    """How the file stores a pixel, in Pillow's words, such as "L;4" or "RGB;16B"; "" where it does not say."""
    tile = getattr(image, "tile", None)
    if not tile:
        return ""
    args = tile[0][3]
    mode = args[0] if isinstance(args, tuple) and args else args
    return mode if isinstance(mode, str) else ""


def deep_colour(image: Image.Image) -> bool:
    """Whether the image has several channels of more than 8 bits, which Pillow cuts to 8."""
    return image.mode not in _NUMBERS and ";16" in raw_mode(image)


def orientation_of(image: Image.Image) -> int:
    """How the decoded pixels are to be turned to be seen upright, EXIF's 1 to 8; a TIFF is turned by Pillow itself."""
    return 1 if image.format == "TIFF" else _declared_orientation(image)


def _declared_orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 where there is none."""
    try:
        found = image.getexif().get(0x0112, 1)
    except Exception:  # damaged metadata: Pillow's parsers raise whatever they stumble over
        return 1
    return found if found in range(1, 9) else 1


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels H x W or H x W x C as EXIF's orientation (1 to 8) has them shown (CIPA DC-008, 4.6.5)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    # After the swap, 6 and 8 are turns by a quarter, 5 and 7 reflections at a diagonal.
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def stored_size(path: Path) -> tuple[int, int] | None:
    """Height and width as stored, by the first bytes of a file; None where they do not tell.

    Raises:
        OSError: it cannot be opened.
    """
    from PIL import Image

    with path.open("rb") as file:
        try:
            width, height = Image.open(file, formats=PILLOW_FORMATS).size
        except Exception:  # whatever is wrong with it is told when it is decoded
            return None
    return height, width


def read_header(path: Path) -> Header | None:
    """What an image file says of itself, without decoding it where that can be helped; None if it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with path.open("rb") as file:
            image = Image.open(file, formats=PILLOW_FORMATS)
            deep = image.mode in _NUMBERS or deep_colour(image)
            height, width = image.height, image.width
            if image.format == "PNG" and "exif" not in image.info and not _mentions(path, b"eXIf"):
                return Header((height, width), 1, deep)  # getexif would decode the pixels to look behind them
            orientation = _declared_orientation(image)
            if image.format == "TIFF" and orientation > 1:
                image.load()  # Pillow turns it
                return Header((image.height, image.width), orientation, deep)
    except UnidentifiedImageError:
        return _deep_header(path)
    except Exception:  # told when it is decoded
        return None
    return Header((width, height) if orientation >= 5 else (height, width), orientation, deep)


def _deep_header(path: Path) -> Header | None:
    try:
        pixels = decode_image(read_bytes(path), path)
    except BrokenImageError:
        return None
    return Header((pixels.shape[0], pixels.shape[1]), 1, pixels.dtype != np.uint8)


def _mentions(path: Path, mark: bytes) -> bool:
    return mark in path.read_bytes()


@contextmanager
def naming_faults(data: bytes, path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into a line that names the file and says what to do.

    Raises:
        BrokenImageError: something was raised.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # decoders raise whatever they stumble over
        raise BrokenImageError(f"{path} {_fault(error, data, path)}") from error


def _fault(error: Exception, data: bytes, path: Path) -> str:
    """What is wrong with a file and what to do, from what a decoder raised of it."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError | MemoryError) or "CV_IO_MAX_IMAGE" in str(error):
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        return (
            f"is too large: it has more pixels than the {most} million that are read, or than there is memory for; "
            "scale it down or cut it into tiles"
        )
    known = format_of(data, path) if isinstance(error, UnidentifiedImageError) else None
    return known or f"is broken ({len(data)} bytes that do not decode): copy it again or remove it"
