"""The inputs of nas-predict: photos and videos, from files and folders."""

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
        name: unique name of its outputs, a path relative to the output folder without a suffix.
        video: whether it is a video.
    """

    path: Path
    name: str
    video: bool


def find_inputs(arguments: Sequence[Path], out: Path) -> tuple[list[Input], dict[str, int]]:
    """Find the files among the arguments and the photos inside folders, each once.

    Videos inside folders are ignored, since they take long; they must be named.

    Args:
        arguments: files and folders.
        out: output folder. Files that an earlier call wrote there are ignored.

    Returns:
        The inputs, and a message about each input that is skipped, with the number of files that it stands for.

    Raises:
        UserError: the output folder is among the arguments; or the only argument is missing, or a folder without
            photos.
    """
    from nas.export.video import VIDEO_SUFFIXES

    if any(argument.is_dir() and argument.resolve() == out.resolve() for argument in arguments):
        raise UserError(f"--out is {out}, which is also read from: choose another folder")
    found: dict[Path, tuple[Path, Path]] = {}
    skipped: dict[str, int] = {}
    for argument in arguments:
        try:
            photos = _photos(argument, out, skipped)
        except UserError as error:
            if len(arguments) == 1:
                raise
            skipped[str(error)] = 1
            continue
        for path, relative in photos:
            if path.is_file():
                found.setdefault(path.resolve(), (path, relative))
            else:
                skipped[f"{path} is not a regular file"] = 1
    names = _unique_names([relative.with_suffix("") for _, relative in found.values()])
    paths = [path for path, _ in found.values()]
    inputs = [Input(p, name, p.suffix.lower() in VIDEO_SUFFIXES) for p, name in zip(paths, names, strict=True)]
    return inputs, skipped


def _photos(argument: Path, out: Path, skipped: dict[str, int]) -> list[tuple[Path, Path]]:
    """Files of an argument, with their paths relative to it."""
    if argument.is_dir():
        return _photos_inside(argument, out, skipped)
    if not argument.exists():
        raise UserError(f"{argument}: there is no such file or folder")
    return [(argument, Path(argument.name))]


def _photos_inside(folder: Path, out: Path, skipped: dict[str, int]) -> list[tuple[Path, Path]]:
    """Photos inside a folder, with their paths relative to it. Images in other formats are added to `skipped`."""
    from nas.tasks.data.files import IMAGE_SUFFIXES, describe_unsupported, unsupported_images, walk_images

    target = out.resolve()
    # The outputs of an earlier call are no photos.
    written = target if target.is_relative_to(folder.resolve()) else None
    photos = [path for path in walk_images(folder) if written not in path.resolve().parents]
    unsupported = unsupported_images(folder)
    if unsupported:
        skipped[describe_unsupported(unsupported)] = len(unsupported)
    if not photos and not unsupported:
        raise UserError(f"{folder} holds no images: known are {', '.join(IMAGE_SUFFIXES)}")
    return [(path, path.relative_to(folder)) for path in photos]


def _unique_names(paths: Sequence[Path]) -> Iterator[str]:
    """Names of the paths, numbered where two are the same."""
    taken: set[str] = set()
    for path in paths:
        name, copies = str(path), 1
        while name in taken:
            copies += 1
            name = f"{path}_{copies}"
        taken.add(name)
        yield name
