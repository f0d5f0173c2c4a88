"""The folder of pretrained weight files, named by an environment variable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.errors import UserError

__all__ = ["NAS_WEIGHTS", "expanded", "weights_dir", "weights_from"]

NAS_WEIGHTS = "NAS_WEIGHTS"
"""The environment variable; worker processes inherit it."""


def weights_dir() -> Path | None:
    """The folder that NAS_WEIGHTS names, or None.

    Raises:
        UserError: there is no such folder.
    """
    folder = os.environ.get(NAS_WEIGHTS)
    return _folder(f"{NAS_WEIGHTS} is {folder}", folder) if folder else None


@contextmanager
def weights_from(folder: str | Path | None) -> Iterator[None]:
    """Context manager: use a folder of weight files, also in child processes. None changes nothing.

    Raises:
        UserError: there is no such folder.
    """
    if folder is None:
        yield
        return
    path = _folder(f"--weights-dir {folder}", folder).resolve()
    before = os.environ.get(NAS_WEIGHTS)
    os.environ[NAS_WEIGHTS] = str(path)
    try:
        yield
    finally:
        if before is None:
            del os.environ[NAS_WEIGHTS]
        else:
            os.environ[NAS_WEIGHTS] = before


def expanded(path: str | Path) -> Path:
    """Replace a leading `~` by the home directory, where there is one."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (the method of Path raises RuntimeError for unknown users)


def _folder(where: str, folder: str | Path) -> Path:
    path = expanded(folder)
    if not path.is_dir():
        raise UserError(f"{where}: {'it is a file, not a folder' if path.exists() else 'there is no such folder'}")
    return path
