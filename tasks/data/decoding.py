"""Decode image files to upright pixels.

Pillow reads most files. OpenCV reads colours of more than 8 bits a channel, and some TIFFs that Pillow cannot.
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
from nas.tasks.data.formats import PILLOW_FORMATS, unsupported_format

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "BrokenImageError",
    "Header",
    "apply_orientation",
    "channel_values",
    "decode_deep",
    "decode_image",
    "decoder_errors",
    "identify",
    "is_deep_colour",
    "orientation_of",
    "raw_mode",
    "read_bytes",
    "read_header",
    "stored_size",
]

# Damaged metadata does no harm, and images that are too large are refused with an error.
warnings.filterwarnings("ignore", module=r"PIL\.")

_NUMBERS = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""Pillow's modes of one channel with more than 8 bits."""

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class BrokenImageError(UserError):
    """Image file that cannot be used: damaged, too large, or of an unsupported format."""


@dataclass(frozen=True)
class Header:
    """Header of an image file, read without decoding its pixels.

    Attributes:
        size: height and width as shown, with the EXIF orientation applied.
        orientation: EXIF orientation, 1 to 8; 1 if the pixels are stored as shown.
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
    """Read a file.

    Raises:
        BrokenImageError: the file cannot be read or is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BrokenImageError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise BrokenImageError(f"{path} is an empty file: copy it again or remove it")
    return data


def decode_image(data: bytes, path: Path) -> np.ndarray:
    """Decode an image upright, without transparency.

    Args:
        data: the bytes of the file.
        path: the file, for error messages.

    Returns:
        H x W x 3 RGB uint8; with more than 8 bits a channel, H x W or H x W x 3 RGB of the stored type.

    Raises:
        BrokenImageError: the bytes are no image of a supported format, are incomplete, or hold too many pixels.
    """
    with decoder_errors(data, path):
        image = identify(data)
        if image is None or is_deep_colour(image):
            return decode_deep(data, path)
        if image.mode in _NUMBERS:
            return apply_orientation(channel_values(image), orientation_of(image))
        image.load()
        image.info.pop("transparency", None)
        pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
        return apply_orientation(pixels, orientation_of(image))


def decode_deep(data: bytes, path: Path) -> np.ndarray:
    """Decode an image with more than 8 bits a channel by OpenCV, upright: H x W or H x W x 3 RGB.

    Raises:
        BrokenImageError: it cannot be decoded.
    """
    import cv2

    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise BrokenImageError(
            f"{path} is broken, or of an unsupported kind: copy it again, or save it as PNG, or as TIFF of 8 or 16 "
            "bits a channel"
        )
    upright = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 2::-1])
    image = None if data.startswith(_TIFF) else identify(data)  # OpenCV applies the orientation of a TIFF itself
    return upright if image is None else apply_orientation(upright, orientation_of(image))


def identify(data: bytes) -> Image.Image | None:
    """Open an image with Pillow without decoding its pixels; None for a TIFF that only OpenCV may be able to read.

    Raises:
        PIL.UnidentifiedImageError: it is no image of a supported format.
        PIL.Image.DecompressionBombError: it has too many pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(data), formats=PILLOW_FORMATS)
    except UnidentifiedImageError:
        if data.startswith(_TIFF):
            return None
        raise


def channel_values(image: Image.Image) -> np.ndarray:
    """Pixels of an image with one channel, H x W, in the native byte order."""
    pixels = np.asarray(image)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def raw_mode(image: Image.Image) -> str:
    """Pillow's raw mode, how the file stores a pixel, such as "L;4" or "RGB;16B"; "" if unknown."""
    tile = getattr(image, "tile", None)
    if not tile:
        return ""
    args = tile[0][3]
    mode = args[0] if isinstance(args, tuple) and args else args
    return mode if isinstance(mode, str) else ""


def is_deep_colour(image: Image.Image) -> bool:
    """Whether the image has several channels of more than 8 bits, which Pillow would reduce to 8."""
    return image.mode not in _NUMBERS and ";16" in raw_mode(image)


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8, to apply to the decoded pixels; 1 for a TIFF, to which Pillow applies it itself."""
    return 1 if image.format == "TIFF" else _declared_orientation(image)


def _declared_orientation(image: Image.Image) -> int:
    """EXIF orientation in the metadata, 1 if there is none."""
    try:
        found = image.getexif().get(0x0112, 1)
    except Exception:  # Pillow's parsers raise errors of any kind on damaged metadata
        return 1
    return found if found in range(1, 9) else 1


def apply_orientation(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation, 1 to 8, to pixels H x W or H x W x C (CIPA DC-008, 4.6.5)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    # With the swap, 6 and 8 rotate by 90 degrees, and 5 and 7 mirror along a diagonal.
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def stored_size(path: Path) -> tuple[int, int] | None:
    """Height and width of the stored pixels, from the first bytes of a file; None if they cannot be read.

    Raises:
        OSError: the file cannot be opened.
    """
    from PIL import Image

    with path.open("rb") as file:
        try:
            width, height = Image.open(file, formats=PILLOW_FORMATS).size
        except Exception:  # the error is reported when the file is decoded
            return None
    return height, width


def read_header(path: Path) -> Header | None:
    """Read the header of an image file, without decoding it if possible; None if it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with path.open("rb") as file:
            image = Image.open(file, formats=PILLOW_FORMATS)
            deep = image.mode in _NUMBERS or is_deep_colour(image)
            height, width = image.height, image.width
            if image.format == "PNG" and "exif" not in image.info and not _contains(path, b"eXIf"):
                return Header((height, width), 1, deep)  # getexif would decode all pixels
            orientation = _declared_orientation(image)
            if image.format == "TIFF" and orientation > 1:
                image.load()  # Pillow applies the orientation
                return Header((image.height, image.width), orientation, deep)
    except UnidentifiedImageError:
        return _deep_header(path)
    except Exception:  # the error is reported when the file is decoded
        return None
    return Header((width, height) if orientation >= 5 else (height, width), orientation, deep)


def _deep_header(path: Path) -> Header | None:
    try:
        pixels = decode_image(read_bytes(path), path)
    except BrokenImageError:
        return None
    return Header((pixels.shape[0], pixels.shape[1]), 1, pixels.dtype != np.uint8)


def _contains(path: Path, mark: bytes) -> bool:
    return mark in path.read_bytes()


@contextmanager
def decoder_errors(data: bytes, path: Path) -> Iterator[None]:
    """Turn any error of a decoder into one that names the file and says what to do.

    Raises:
        BrokenImageError: the code in the `with` block raised an error.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # decoders raise errors of any kind
        raise BrokenImageError(f"{path} {_describe_error(error, data, path)}") from error


def _describe_error(error: Exception, data: bytes, path: Path) -> str:
    """Say what is wrong with a file and what to do, from the error of a decoder."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError | MemoryError) or "CV_IO_MAX_IMAGE" in str(error):
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        return (
            f"is too large: it has more pixels than the limit of {most} million, or than memory allows; "
            "scale it down or cut it into tiles"
        )
    known = unsupported_format(data, path) if isinstance(error, UnidentifiedImageError) else None
    return known or f"is broken ({len(data)} bytes that do not decode): copy it again or remove it"
