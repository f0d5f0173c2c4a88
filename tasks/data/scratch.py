"""Pixels in files: arrays mapped from a folder, removed with their owner or swept after its death."""

from __future__ import annotations

import contextlib
import os
import tempfile
import weakref
from pathlib import Path
from typing import IO

import numpy as np

from nas import interrupt
from nas.errors import UserError
from nas.files import lock

__all__ = ["map_pixels", "scratch_array", "scratch_file", "scratch_folder"]

_PREFIX, _SUFFIX = "pixels-", ".raw"


def scratch_folder(folder: Path | None) -> Path:
    """`folder`, or the user's own among the temporary files; what dead owners left in it is removed."""
    if folder is None:
        user = os.getuid() if hasattr(os, "getuid") else "user"
        folder = Path(tempfile.gettempdir()) / f"fewlabel-nas-{user}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        _remove_if_abandoned(path)
    return folder


def scratch_array(folder: Path, shape: tuple[int, ...]) -> np.memmap:
    """A writable array of zeros in a new file of `folder`, which goes when the array does."""
    file = scratch_file(folder, int(np.prod(shape)))
    array = np.memmap(file.name, dtype=np.uint8, mode="r+", shape=shape)
    weakref.finalize(array, discard, file)
    return array


def scratch_file(folder: Path, size: int) -> IO[bytes]:
    """A new file of `size` zero bytes, open and locked for as long as its owner lives.

    Raises:
        UserError: the disk has no room for it.
    """
    descriptor, name = tempfile.mkstemp(_SUFFIX, _PREFIX, folder)
    os.close(descriptor)
    interrupt.temporary_files.add(Path(name))
    file = Path(name).open("r+b")  # noqa: SIM115 - its lifetime is the lock's
    lock(file)
    try:
        _reserve(file, max(1, size))
    except OSError as error:
        discard(file)
        raise UserError(
            f"{folder}: no room for {size / 1e9:.1f} GB of pixels ({error.strerror}): free some, or use a smaller size"
        ) from error
    return file


def _reserve(file: IO[bytes], size: int) -> None:
    """Give a file its size on the disk: writing to a mapped file that finds none kills the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


def discard(file: IO[bytes]) -> None:
    """Close a scratch file and remove it."""
    file.close()
    with contextlib.suppress(OSError):
        Path(file.name).unlink()
    interrupt.temporary_files.discard(Path(file.name))


def map_pixels(path: Path) -> np.memmap:
    """A scratch file's bytes, read only."""
    return np.memmap(path, dtype=np.uint8, mode="r")


def _remove_if_abandoned(path: Path) -> None:
    with contextlib.suppress(OSError):
        with path.open("rb") as file:
            # An empty file may be one that its owner is about to lock.
            abandoned = path.stat().st_size > 0 and lock(file)
        if abandoned:
            path.unlink()
