"""From the name of a data set as a user writes it (KIND:PATH) to its images by split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas.errors import UserError
from nas.tasks.data.grouping import group_classes as grouped
from nas.tasks.data.grouping import read_groups
from nas.tasks.data.readers import (
    read_ade20k,
    read_camvid,
    read_cityscapes,
    read_folder,
    read_gta5,
    read_voc,
)
from nas.tasks.data.scenes import read_scenes
from nas.tasks.data.sets import Source
from nas.tasks.data.splits import check_disjoint

__all__ = ["KINDS", "open_source", "resolved", "same_set"]

KINDS: dict[str, Callable[[Path, bool], Source]] = {
    "camvid": read_camvid,
    "cityscapes": read_cityscapes,
    "voc": read_voc,
    "ade20k": read_ade20k,
    "gta5": read_gta5,
    "folder": read_folder,
}
"""Reader of each kind of data set; `scenes` takes no path and is not among them."""


def open_source(
    spec: str, progress: bool = False, group_classes: str | Path | Mapping[str, Any] | None = None
) -> Source:
    """Find the images of a data set and assign them to splits, without decoding them.

    Args:
        spec: "scenes", "scenes:night" or KIND:PATH with a kind of `KINDS`.
        progress: whether to show progress on standard error.
        group_classes: how to merge classes, see `read_groups`; None keeps the classes of the set.

    Raises:
        UserError: the kind is unknown, the path does not exist, its layout is not that of the kind, or `group_classes`
            does not fit the classes.
    """
    # Read the small file first: an error in it should not wait for the scan of a large data set.
    groups = None if group_classes is None else read_groups(group_classes)
    source = _read(spec, progress)
    return source if groups is None else grouped(source, groups)


def resolved(spec: str) -> str:
    """Make the path of KIND:PATH absolute; return any other spec unchanged."""
    kind, _, place = spec.partition(":")
    return f"{kind}:{Path(place).expanduser().resolve()}" if kind in KINDS and place else spec


def same_set(one: str, other: str) -> bool:
    """Whether two specs name the same data set, for example by a relative and an absolute path."""
    return len({"scenes:day" if spec == "scenes" else resolved(spec) for spec in (one, other)}) == 1


def _read(spec: str, progress: bool) -> Source:
    kind, colon, place = spec.partition(":")
    if kind == "scenes":
        return read_scenes(place if colon else "day")
    path = _existing_folder(spec, kind, place)
    try:
        if not any(path.iterdir()):
            raise UserError(f"data {spec!r}: the folder {path} is empty")
        source = KINDS[kind](path, progress)
    except OSError as error:
        raise UserError(f"data {spec!r}: {error.filename or path} cannot be read: {error.strerror}") from error
    check_disjoint(source)
    return source


def _existing_folder(spec: str, kind: str, place: str) -> Path:
    if kind not in KINDS:
        known = "scenes, scenes:night, " + ", ".join(f"{each}:PATH" for each in KINDS)
        hint = f" (for your own images: folder:{spec})" if Path(spec).expanduser().exists() else ""
        raise UserError(f"data {spec!r}: there is no kind {kind!r}{hint}; choose from {known}")
    path = Path(place).expanduser()
    if not place:
        raise UserError(f"data {spec!r}: the path is missing: write {kind}:PATH")
    if not path.exists():
        raise UserError(f"data {spec!r}: there is no {path}: write {kind}:PATH with the path of the data set")
    if not path.is_dir():
        raise UserError(f"data {spec!r}: {path} is a file: give the folder of the data set")
    return path
