"""What nas-predict is given: the photos and videos among and inside its arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.errors import UserError
from nas.wording import counted

__all__ = ["Input", "find_inputs"]


@dataclass(frozen=True)
class Input:
    """A photo or a video.

    Attributes:
        path: the file.
        name: what its pictures are called, a path below the output folder without a suffix; unique.
        video: whether it is a video.
    """

    path: Path
    name: str
    video: bool


def find_inputs(arguments: Sequence[Path], out: Path) -> tuple[list[Input], list[str]]:
    """The files among the arguments and the photos inside folders, each once, and a line on each that cannot be read.

    Videos inside folders are left out: they take long, so they are to be named.

    Args:
        arguments: files and folders.
        out: the output folder; what an earlier call wrote there is not read.

    Raises:
        UserError: an argument is not there, or is a folder without photos.
    """
    from nas.export.video import VIDEO_SUFFIXES

    found: dict[Path, tuple[Path, Path]] = {}
    faults: list[str] = []
    for argument in arguments:
        if argument.is_dir():
            photos = _inside(argument, out, faults)
        elif argument.exists():
            photos = [(argument, Path(argument.name))]
        else:
            raise UserError(f"{argument}: there is no such file or folder")
        for path, kept in photos:
            if path.is_file():
                found.setdefault(path.resolve(), (path, kept))
            else:
                faults.append(f"{path} is not a regular file")
    names = _names([kept.with_suffix("") for _, kept in found.values()])
    paths = [path for path, _ in found.values()]
    inputs = [Input(p, name, p.suffix.lower() in VIDEO_SUFFIXES) for p, name in zip(paths, names, strict=True)]
    return inputs, faults


def _inside(folder: Path, out: Path, faults: list[str]) -> list[tuple[Path, Path]]:
    """The photos inside a folder, with their paths below it; what is not read is added to `faults`."""
    from tasks.data.files import IMAGE_SUFFIXES, OTHER_IMAGES

    target = out.resolve()
    if folder.resolve() == target:
        raise UserError(f"--out is {folder}, which is also read from: choose another folder")
    # What an earlier call wrote below the folder is none of its photos.
    written = target if target.is_relative_to(folder.resolve()) else None
    inside = [
        path
        for path in sorted(folder.rglob("*"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and written not in path.resolve().parents
    ]
    unread = [path for path in inside if path.suffix.lower() in OTHER_IMAGES]
    if unread:
        faults.append(f"{counted(len(unread), 'image')} of a format that is not read, the first is {unread[0]}")
    shown = [path for path in inside if path.suffix.lower() in IMAGE_SUFFIXES]
    if not shown and not unread:
        raise UserError(f"{folder} holds no images: known are {', '.join(IMAGE_SUFFIXES)}")
    return [(path, path.relative_to(folder)) for path in shown]


def _names(wanted: Sequence[Path]) -> Iterator[str]:
    """The names, numbered where two are the same."""
    taken: set[str] = set()
    for path in wanted:
        name, copies = str(path), 1
        while name in taken:
            copies += 1
            name = f"{path}_{copies}"
        taken.add(name)
        yield name
