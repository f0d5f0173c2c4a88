"""Find image files in folders, and read one as RGB."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nas.errors import UserError
from nas.tasks.data.decoding import BrokenImageError, decode_image, read_bytes
from nas.tasks.data.depth import EIGHT_BITS, PixelScale
from nas.tasks.data.formats import IMAGE_SUFFIXES, describe_unsupported, is_unsupported
from nas.tasks.data.sets import Pixels
from nas.tasks.data.texts import composed

__all__ = [
    "IMAGE_SUFFIXES",
    "BrokenImageError",
    "describe_unsupported",
    "list_images",
    "read_image",
    "resize",
    "unsupported_images",
    "walk_images",
]

_log = logging.getLogger(__name__)


def list_images(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by stem, in the order of their names, without hidden files.

    Raises:
        UserError: two files share a stem, so that a mask would match both.
    """
    return by_stem(path for path in sorted(folder.iterdir()) if _is_image(path) and not path.name.startswith("."))


def by_stem(paths: Iterator[Path], root: Path | None = None) -> dict[str, Path]:
    """Return image files by stem, or by their path below `root` without the suffix ("train/0001").

    Names are in Unicode's composed form.

    Raises:
        UserError: two files share a name.
    """
    found: dict[str, Path] = {}
    for path in paths:
        place = path.stem if root is None else path.relative_to(root).with_suffix("").as_posix()
        name = composed(place)
        if name in found:
            raise UserError(f"{path.parent}: {found[name].name} and {path.name} share a stem; rename one")
        found[name] = path
    return found


def walk_images(root: Path) -> Iterator[Path]:
    """Walk the image files of a folder and its subfolders, through links, in the order of their paths.

    Hidden files and folders are skipped, and those of tools (@eaDir). A link back to one of its own parent folders and
    a broken link are skipped with a warning.

    Raises:
        UserError: a folder cannot be read.
    """
    return (path for path in _walk(root, ()) if _is_image(path))


def unsupported_images(root: Path) -> list[Path]:
    """List the image files of a folder and its subfolders that have an unsupported format.

    Raises:
        UserError: a folder cannot be read.
    """
    return [path for path in _walk(root, (), warn=False) if is_unsupported(path)]


def _walk(folder: Path, above: tuple[tuple[int, int], ...], warn: bool = True) -> Iterator[Path]:
    """Files below a folder; `above` has device and inode of each of its parent folders."""
    try:
        known = folder.stat()
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror or error}") from error
    this = (known.st_dev, known.st_ino)
    if this in above:
        if warn:
            _log.warning("%s links to a parent folder of its own: not followed", folder)
        return
    folders = []
    for path in entries:
        if path.name.startswith((".", "@")):
            continue
        if path.is_dir():
            folders.append(path)
        elif not path.exists():
            if warn:
                _log.warning("%s links to %s, which does not exist: skipped", path, path.readlink())
        else:
            yield path
    for each in folders:
        yield from _walk(each, (*above, this), warn)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def read_image(path: Path, scale: PixelScale | None = None) -> Pixels:
    """Read an image file as RGB, H x W x 3 uint8, upright by its EXIF orientation.

    Args:
        path: the file.
        scale: how to reduce more than 8 bits a channel to 8; None decides by this image alone.

    Raises:
        BrokenImageError: the file cannot be read or decoded.
    """
    return (scale or EIGHT_BITS).apply(decode_image(read_bytes(path), path))


def resize(pixels: Pixels, size: tuple[int, int] | None, labels: bool = False) -> Pixels:
    """Resize to (H, W): labels by nearest neighbour, images by area if they shrink and linearly if they grow."""
    if size is None or pixels.shape[:2] == size:
        return pixels
    import cv2

    height, width = size
    shrinks = height <= pixels.shape[0] and width <= pixels.shape[1]
    how = cv2.INTER_NEAREST_EXACT if labels else cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
