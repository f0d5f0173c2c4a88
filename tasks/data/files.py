"""Image files on disk: finding them in folders, and reading one as RGB."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nas.errors import UserError
from nas.tasks.data.decoding import BrokenImageError, decode_image, read_bytes
from nas.tasks.data.depth import EIGHT_BITS, PixelScale
from nas.tasks.data.formats import IMAGE_SUFFIXES, describe_unread, is_unread
from nas.tasks.data.sets import Pixels
from nas.tasks.data.texts import one_form

__all__ = [
    "IMAGE_SUFFIXES",
    "BrokenImageError",
    "describe_unread",
    "list_images",
    "read_image",
    "resize",
    "unread_images",
    "walk_images",
]

_log = logging.getLogger(__name__)


def list_images(folder: Path) -> dict[str, Path]:
    """Image files of one folder by stem, in the order of their names; hidden files are passed over.

    Raises:
        UserError: two files share a stem, so that a mask could not tell which is its own.
    """
    return by_stem(path for path in sorted(folder.iterdir()) if _is_image(path) and not path.name.startswith("."))


def by_stem(paths: Iterator[Path], root: Path | None = None) -> dict[str, Path]:
    """Image files by stem, or by their path below `root` without the suffix ("train/0001"), accents composed.

    Raises:
        UserError: two share it.
    """
    found: dict[str, Path] = {}
    for path in paths:
        place = path.stem if root is None else path.relative_to(root).with_suffix("").as_posix()
        name = one_form(place)
        if name in found:
            raise UserError(f"{path.parent}: {found[name].name} and {path.name} share a stem; rename one")
        found[name] = path
    return found


def walk_images(root: Path) -> Iterator[Path]:
    """Image files of a folder and of all folders in it, links to folders included, in the order of their paths.

    Hidden files and folders are passed over, as are those that tools leave (@eaDir). A link back to a folder that it
    lies in is not followed, and a link that leads nowhere is passed over; warnings name them.

    Raises:
        UserError: a folder cannot be read.
    """
    return (path for path in _walk(root, ()) if _is_image(path))


def unread_images(root: Path) -> list[Path]:
    """Image files of a folder and of those in it whose format is not read, for `describe_unread`.

    Raises:
        UserError: a folder cannot be read.
    """
    return [path for path in _walk(root, (), warn=False) if is_unread(path)]


def _walk(folder: Path, above: tuple[tuple[int, int], ...], warn: bool = True) -> Iterator[Path]:
    """Files below a folder; `above` identifies it and the folders that it lies in, by device and inode."""
    try:
        known = folder.stat()
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror or error}") from error
    this = (known.st_dev, known.st_ino)
    if this in above:
        if warn:
            _log.warning("%s links to a folder that it lies in: not followed", folder)
        return
    folders = []
    for path in entries:
        if path.name.startswith((".", "@")):
            continue
        if path.is_dir():
            folders.append(path)
        elif not path.exists():
            if warn:
                _log.warning("%s links to %s, which is not there: passed over", path, path.readlink())
        else:
            yield path
    for each in folders:
        yield from _walk(each, (*above, this), warn)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def read_image(path: Path, scale: PixelScale | None = None) -> Pixels:
    """An image file as RGB, H x W x 3 uint8, turned upright as EXIF says.

    Args:
        path: the file.
        scale: how images of more than 8 bits a channel are brought to 8; None decides from this image alone.

    Raises:
        BrokenImageError: it cannot be read or decoded.
    """
    return (scale or EIGHT_BITS).apply(decode_image(read_bytes(path), path))


def resize(pixels: Pixels, size: tuple[int, int] | None, labels: bool = False) -> Pixels:
    """Pixels at `size` (H, W): labels by nearest; images by area, or linearly where they grow."""
    if size is None or pixels.shape[:2] == size:
        return pixels
    import cv2

    height, width = size
    shrinks = height <= pixels.shape[0] and width <= pixels.shape[1]
    how = cv2.INTER_NEAREST_EXACT if labels else cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
