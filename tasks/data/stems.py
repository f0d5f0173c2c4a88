"""Read text files that list images by stem, one per line, and find these images."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from nas.errors import UserError
from nas.tasks.data.formats import IMAGE_SUFFIXES
from nas.tasks.data.sets import Item
from nas.tasks.data.texts import read_text

__all__ = ["label_files", "pick", "read_stems", "same_end"]


_SUFFIX = "|".join(map(re.escape, IMAGE_SUFFIXES))
_PAIR = re.compile(rf"(\S+(?:{_SUFFIX}))[\s,]+\S+(?:{_SUFFIX})", re.IGNORECASE)


def read_stems(path: Path) -> tuple[str, ...]:
    """Read the stems of a list file, without suffixes, blank lines and lines that start with #.

    The file may be UTF-8 or UTF-16, and paths may have slashes or backslashes. From a line with an image and its mask,
    as in some published lists, the image is taken.

    Raises:
        UserError: the file cannot be read, lists nothing, or lists a stem twice.
    """
    stems: dict[str, None] = {}
    for line in read_text(path, "a list of stems").splitlines():
        stem = line.strip().strip('"').replace("\\", "/")
        if not stem or stem.startswith("#"):
            continue
        pair = _PAIR.fullmatch(stem)
        if pair:
            stem = pair[1]
        if PurePosixPath(stem).suffix.lower() in IMAGE_SUFFIXES:
            stem = stem[: -len(PurePosixPath(stem).suffix)]
        if stem in stems:
            raise UserError(f"{path} lists {stem} twice")
        stems[stem] = None
    if not stems:
        raise UserError(f"{path} lists no image: write one stem per line")
    return tuple(stems)


def pick(items: Mapping[str, Item], stems: tuple[str, ...], where: str) -> tuple[Item, ...]:
    """Return the items that `stems` name, in the order of `items`.

    A stem may have fewer folders than the item ("0001" for "train/0001") or more ("CamVid/train/0001"), and may be that
    of the image file ("train/ulm/ulm_000000_000019_leftImg8bit").

    Args:
        items: the items by name.
        stems: stems of images.
        where: the list, for error messages.

    Raises:
        UserError: a stem names no item, or more than one.
    """
    by_end: dict[str, set[tuple[str, tuple[str, ...]]]] = {}
    for name, item in items.items():
        for stem in item.stems:
            parts = PurePosixPath(stem).parts
            by_end.setdefault(parts[-1], set()).add((name, parts))
    chosen: set[str] = set()
    for stem in stems:
        listed = PurePosixPath(stem).parts
        found = {name for name, parts in by_end.get(listed[-1], ()) if same_end(listed, parts)} if listed else set()
        names = [stem] if stem in items else list(found)
        if len(names) != 1:
            why = "is in several folders: add its folder" if names else "is not an image of this data set"
            raise UserError(f"{where}: {stem} {why}")
        chosen.add(names[0])
    return tuple(item for name, item in items.items() if name in chosen)


def same_end(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the shorter of two paths is the end of the longer one."""
    both = min(len(one), len(other))
    return one[-both:] == other[-both:]


def label_files(folder: Path) -> dict[str, tuple[str, ...]]:
    """Read the declared lists of labels of a folder by fraction, such as labelled_1_8.txt as "1_8"."""
    return {path.stem.removeprefix("labelled_"): read_stems(path) for path in sorted(folder.glob("labelled_*.txt"))}
