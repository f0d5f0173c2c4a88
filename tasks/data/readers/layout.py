"""Find the folders of a data set."""

from __future__ import annotations

from pathlib import Path

from nas.errors import UserError

__all__ = ["find_root", "need_folder"]


def find_root(path: Path, kind: str, marks: tuple[str, ...], within: tuple[str, ...] = ()) -> Path:
    """Return the first of `path` and its subfolders `within` that holds all folders `marks`.

    Raises:
        UserError: none of them does.
    """
    for root in (path, *(path / name for name in within)):
        if all((root / mark).is_dir() for mark in marks):
            return root
    raise UserError(f"{kind}:{path} does not look like {kind}: it should hold the folders {', '.join(marks)}")


def need_folder(path: Path, what: str) -> Path:
    """Return `path` if it is a folder.

    Raises:
        UserError: it is no folder.
    """
    if not path.is_dir():
        raise UserError(f"{what}: there is no folder {path}")
    return path
