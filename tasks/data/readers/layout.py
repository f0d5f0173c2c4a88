"""Finding a data set's folders, and one clear line when they are not there."""

from __future__ import annotations

from pathlib import Path

from nas.errors import UserError

__all__ = ["find_root", "need_folder"]


def find_root(path: Path, kind: str, marks: tuple[str, ...], within: tuple[str, ...] = ()) -> Path:
    """`path`, or the first of the folders `within` it, that holds all of `marks`.

    Raises:
        UserError: none does.
    """
    for root in (path, *(path / name for name in within)):
        if all((root / mark).is_dir() for mark in marks):
            return root
    raise UserError(f"{kind}:{path} does not look like {kind}: it should hold the folders {', '.join(marks)}")


def need_folder(path: Path, what: str) -> Path:
    """`path`, if it is a folder.

    Raises:
        UserError: it is not.
    """
    if not path.is_dir():
        raise UserError(f"{what}: there is no folder {path}")
    return path
