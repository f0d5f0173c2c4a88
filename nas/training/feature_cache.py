"""FeatureCache: arrays that are computed once, and shared by all workers of a run through files."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from nas.files import lock, replacing, reserve

__all__ = ["FeatureCache", "Stored"]

FREE_SHARE = 0.5
"""Share of the disk space that is free without the cache, which the cache takes at most."""

MEMORY_BYTES = 4 << 30
"""Largest size of a cache in memory."""

WAITING = 0.2
"""Seconds between two looks at a lock."""


@dataclass(frozen=True)
class Stored:
    """An array of the cache. Its file is not removed as long as this object lives.

    Attributes:
        array: the array, read-only.
        lock: the open lock file; None for an array in memory.
    """

    array: np.ndarray
    lock: IO[bytes] | None = None


class FeatureCache:
    """Float16 arrays in the files of a folder. The first process that asks for an array computes it, others wait.

    A file appears under its name when it is complete, so that a process may die at any moment. The cache takes at most
    half of the free disk: files that no process uses are removed for new ones, the longest unused first.

    Args:
        folder: the folder; None to keep arrays in memory, where nothing is shared.
        heartbeat: called again and again while an array is computed or waited for.

    Attributes:
        seconds: seconds that this object has spent on computing arrays.
    """

    def __init__(self, folder: Path | None = None, heartbeat: Callable[[], None] = lambda: None) -> None:
        self.folder, self.heartbeat = folder, heartbeat
        self.seconds = 0.0
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def limit(self) -> float:
        """Largest size of the cache in bytes."""
        if self.folder is None:
            return MEMORY_BYTES
        return FREE_SHARE * (shutil.disk_usage(self.folder).free + self.used)

    @property
    def used(self) -> int:
        """Bytes of all files."""
        return sum(_size(path) for path in self._files())

    def get(self, key: str, shape: tuple[int, int], blocks: Callable[[], Iterable[np.ndarray]]) -> Stored:
        """Return the array of a key, and compute it if there is none.

        Args:
            key: a hash of everything that the array depends on.
            shape: number and length of its rows.
            blocks: computes the array as blocks of successive rows.

        Raises:
            OSError: the disk is full.
        """
        if self.folder is None:
            array = np.empty(shape, np.float16)
            self._fill(array, blocks)
            return Stored(array)
        path = self.folder / f"{key}.npy"
        while True:
            if not path.exists():
                with self._locked(path):
                    if not path.exists():  # no other process was faster
                        self._write(path, shape, blocks)
            file = self._locked(path, shared=True)
            if path.exists():
                os.utime(path)
                return Stored(np.load(path, mmap_mode="r"), file)
            file.close()  # another process has removed it to make room

    def _locked(self, path: Path, shared: bool = False) -> IO[bytes]:
        """Open the lock file of an array, and wait until no other process writes or removes the array."""
        file = path.with_suffix(".lock").open("ab")
        while not lock(file, shared):
            self.heartbeat()
            time.sleep(WAITING * random.uniform(0.5, 1.0))
        return file

    def _write(self, path: Path, shape: tuple[int, int], blocks: Callable[[], Iterable[np.ndarray]]) -> None:
        for left in path.parent.glob(f".{path.name}.*.tmp"):  # by a process that was killed
            left.unlink(missing_ok=True)
        self._make_room(2 * shape[0] * shape[1])
        with replacing(path) as temporary:
            array = np.lib.format.open_memmap(temporary, "w+", np.float16, shape)
            with temporary.open("r+b") as file:
                reserve(file, _size(temporary))
            self._fill(array, blocks)
            array.flush()

    def _fill(self, array: np.ndarray, blocks: Callable[[], Iterable[np.ndarray]]) -> None:
        started, row = time.perf_counter(), 0
        for block in blocks():
            array[row : row + len(block)] = block
            row += len(block)
            self.heartbeat()
        self.seconds += time.perf_counter() - started

    def _make_room(self, size: int) -> None:
        """Remove unused files, the longest unused first, until a new one fits."""
        for path in sorted(self._files(), key=_last_used):
            if self.used + size <= self.limit:
                return
            with path.with_suffix(".lock").open("ab") as file:
                if lock(file):
                    path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return [] if self.folder is None else list(self.folder.glob("*.npy"))


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _last_used(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0
