"""What nas-predict is given: the photos and videos among and inside its arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.errors import UserError

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


def find_inputs(arguments: Sequence[Path], out: Path) -> tuple[list[Input], dict[str, int]]:
    """The files among the arguments and the photos inside folders, each once; and lines on those left out, with counts.

    Videos inside folders are not read: they take long, so they are to be named.

    Args:
        arguments: files and folders.
        out: the output folder; what an earlier call wrote there is not read.

    Raises:
        UserError: the only argument is not there, or is a folder without photos; or the output folder is among them.
    """
    from nas.export.video import VIDEO_SUFFIXES

    if any(argument.is_dir() and argument.resolve() == out.resolve() for argument in arguments):
        raise UserError(f"--out is {out}, which is also read from: choose another folder")
    found: dict[Path, tuple[Path, Path]] = {}
    left_out: dict[str, int] = {}
    for argument in arguments:
        try:
            photos = _photos(argument, out, left_out)
        except UserError as error:
            if len(arguments) == 1:
                raise
            left_out[str(error)] = 1
            continue
        for path, kept in photos:
            if path.is_file():
                found.setdefault(path.resolve(), (path, kept))
            else:
                left_out[f"{path} is not a regular file"] = 1
    names = _names([kept.with_suffix("") for _, kept in found.values()])
    paths = [path for path, _ in found.values()]
    inputs = [Input(p, name, p.suffix.lower() in VIDEO_SUFFIXES) for p, name in zip(paths, names, strict=True)]
    return inputs, left_out


def _photos(argument: Path, out: Path, left_out: dict[str, int]) -> list[tuple[Path, Path]]:
    """The files that an argument stands for, with their paths below it."""
    if argument.is_dir():
        return _inside(argument, out, left_out)
    if not argument.exists():
        raise UserError(f"{argument}: there is no such file or folder")
    return [(argument, Path(argument.name))]


def _inside(folder: Path, out: Path, left_out: dict[str, int]) -> list[tuple[Path, Path]]:
    """The photos inside a folder, with their paths below it; what is not read is added to `left_out`."""
    from nas.tasks.data.files import IMAGE_SUFFIXES, describe_unsupported, unsupported_images, walk_images

    target = out.resolve()
    # What an earlier call wrote below the folder is none of its photos.
    written = target if target.is_relative_to(folder.resolve()) else None
    photos = [path for path in walk_images(folder) if written not in path.resolve().parents]
    unsupported = unsupported_images(folder)
    if unsupported:
        left_out[describe_unsupported(unsupported)] = len(unsupported)
    if not photos and not unsupported:
        raise UserError(f"{folder} holds no images: known are {', '.join(IMAGE_SUFFIXES)}")
    return [(path, path.relative_to(folder)) for path in photos]


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
