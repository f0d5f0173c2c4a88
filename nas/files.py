"""Atomic writes and file locks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nas import interrupt

__all__ = ["lock", "replacing", "reserve"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Context manager for an atomic write: yield a temporary path, and rename it to `path` at the end of the block.

    Where the block raises, the temporary file is removed and `path` stays as it was.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    interrupt.temporary_files.add(temporary)
    temporary.touch()
    # safetensors replaces the file by one that only its owner can read.
    mode = temporary.stat().st_mode & 0o777
    try:
        yield temporary
        temporary.chmod(mode)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        interrupt.temporary_files.discard(temporary)


def reserve(file: IO[bytes], size: int) -> None:
    """Allocate the disk space of a file, since a process that writes to a mapped file on a full disk is killed.

    Raises:
        OSError: the disk is full.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


def lock(file: IO[Any], shared: bool = False) -> bool:
    """Lock a file until it is closed or this process dies, and return whether it was free.

    Args:
        shared: whether other processes may hold a shared lock on it at the same time.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where an open file cannot be removed anyway
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
