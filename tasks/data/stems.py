"""Text files that list images by stem, one a line: splits and labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from nas.errors import UserError
from tasks.data.files import IMAGE_SUFFIXES
from tasks.data.sets import Item

__all__ = ["label_files", "pick", "read_stems"]


def read_stems(path: Path) -> tuple[str, ...]:
    """Stems of a list file, without blank lines, lines that start with #, and suffixes of images.

    Raises:
        UserError: the file cannot be read, lists nothing, or lists a stem twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as a list of stems: {error}") from error
    stems: dict[str, None] = {}
    for line in text.splitlines():
        stem = line.strip()
        if not stem or stem.startswith("#"):
            continue
        if PurePosixPath(stem).suffix.lower() in IMAGE_SUFFIXES:
            stem = stem[: -len(PurePosixPath(stem).suffix)]
        if stem in stems:
            raise UserError(f"{path} lists {stem} twice")
        stems[stem] = None
    if not stems:
        raise UserError(f"{path} lists no image: write one stem a line")
    return tuple(stems)


def pick(items: Mapping[str, Item], stems: tuple[str, ...], where: str) -> tuple[Item, ...]:
    """The items that `stems` name, in their order in the set; a stem may leave out the folder ("train/").

    Raises:
        UserError: a stem names no item, or more than one.
    """
    by_stem: dict[str, list[str]] = {}
    for name in items:
        by_stem.setdefault(PurePosixPath(name).name, []).append(name)
    chosen: set[str] = set()
    for stem in stems:
        names = [stem] if stem in items else by_stem.get(stem, [])
        if len(names) != 1:
            why = "is in several folders, write its folder too" if names else "is no image of this set"
            raise UserError(f"{where}: {stem} {why}")
        chosen.add(names[0])
    return tuple(item for name, item in items.items() if name in chosen)


def label_files(folder: Path) -> dict[str, tuple[str, ...]]:
    """Declared draws of labels: labelled_1_8.txt is found under "1_8"."""
    return {path.stem.removeprefix("labelled_"): read_stems(path) for path in sorted(folder.glob("labelled_*.txt"))}
