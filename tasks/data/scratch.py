"""Arrays mapped from temporary files, which are removed with their owner, or by the next one if it was killed."""

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
from nas.files import lock, reserve

__all__ = ["map_pixels", "scratch_array", "scratch_file", "scratch_folder"]

_PREFIX, _SUFFIX = "pixels-", ".raw"


def scratch_folder(folder: Path | None) -> Path:
    """Return `folder`, or the user's own temporary folder, after removing the files of owners that were killed."""
    if folder is None:
        user = os.getuid() if hasattr(os, "getuid") else "user"
        folder = Path(tempfile.gettempdir()) / f"fewlabel-nas-{user}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        _remove_if_abandoned(path)
    return folder


def scratch_array(folder: Path, shape: tuple[int, ...]) -> np.memmap:
    """Make a writable array of zeros in a new file of `folder`, which is removed together with the array."""
    file = scratch_file(folder, int(np.prod(shape)))
    array = np.memmap(file.name, dtype=np.uint8, mode="r+", shape=shape)
    weakref.finalize(array, discard, file)
    return array


def scratch_file(folder: Path, size: int) -> IO[bytes]:
    """Make a new file of `size` zero bytes, open and locked until its owner ends.

    Raises:
        UserError: the disk is full.
    """
    descriptor, name = tempfile.mkstemp(_SUFFIX, _PREFIX, folder)
    os.close(descriptor)
    interrupt.temporary_files.add(Path(name))
    file = Path(name).open("r+b")  # noqa: SIM115 - open as long as the lock is held
    lock(file)
    try:
        reserve(file, max(1, size))
    except OSError as error:
        discard(file)
        raise UserError(
            f"{folder}: no room for {size / 1e9:.1f} GB of pixels ({error.strerror}): free some, or use a smaller size"
        ) from error
    return file


def discard(file: IO[bytes]) -> None:
    """Close and remove a scratch file."""
    file.close()
    with contextlib.suppress(OSError):
        Path(file.name).unlink()
    interrupt.temporary_files.discard(Path(file.name))


def map_pixels(path: Path) -> np.memmap:
    """Map the bytes of a scratch file, read-only."""
    return np.memmap(path, dtype=np.uint8, mode="r")


def _remove_if_abandoned(path: Path) -> None:
    with contextlib.suppress(OSError):
        with path.open("rb") as file:
            # The owner of an empty file may be about to lock it.
            abandoned = path.stat().st_size > 0 and lock(file)
        if abandoned:
            path.unlink()
