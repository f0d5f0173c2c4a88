"""groups.csv: images that belong together, such as those of a patient, a site or a film."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from nas.errors import UserError
from nas.tasks.data.files import IMAGE_SUFFIXES
from nas.tasks.data.items import FileItem
from nas.tasks.data.texts import one_form, read_text

__all__ = ["GROUPS_FILE", "in_groups", "read_image_groups"]

GROUPS_FILE = "groups.csv"

_IMAGE_COLUMNS = ("image", "images", "file", "filename", "file_name", "name", "stem", "path", "photo")
_GROUP_COLUMNS = (
    *("group", "groups", "patient", "patient_id", "subject", "subject_id", "site", "film", "video", "sequence"),
    *("scene", "location", "case", "slide", "plot", "camera", "field", "batch"),
)


def in_groups(items: Sequence[FileItem], groups: Sequence[tuple[str, str]], where: str) -> tuple[FileItem, ...]:
    """The items, each with the group that the rows (image, group) give it.

    Raises:
        UserError: a row names several images, or an image is in two groups.
    """
    find = _Finder(items, where)
    group_of: dict[str, str] = {}
    for image, group in groups:
        name = find(image)
        if name is not None and group_of.setdefault(name, group) != group:
            raise UserError(f"{where}: {image} is in {group_of[name]} and in {group}: an image belongs to one group")
    if groups and not group_of:
        raise UserError(f"{where}: no row names an image of this set; the first of {len(groups)} names {groups[0][0]}")
    return tuple(
        replace(item, group=group_of[item.name], sequence=None) if item.name in group_of else item for item in items
    )


def read_image_groups(path: Path) -> tuple[tuple[str, str], ...]:
    """Rows (image, group) of a table of two columns or more, with or without a header.

    Values are separated by commas, semicolons or tabs; the text is UTF-8 or UTF-16. Of more columns than two, the
    header says which ones count.

    Raises:
        UserError: the file cannot be read, or a row has no group.
    """
    lines = [line for line in read_text(path, "a table of groups").splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{path} is empty: write a line an image, such as 0001.png,patient 7")
    separator = max("\t;,", key=lines[0].count)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    heads = [cell.lower() for cell in rows[0]]
    headed = any(head in _IMAGE_COLUMNS for head in heads)
    image = next((place for place, head in enumerate(heads) if head in _IMAGE_COLUMNS), 0)
    group = next((place for place, head in enumerate(heads) if headed and head in _GROUP_COLUMNS), None)
    if group is None:
        group = 1 if image == 0 else 0
        if headed and len(heads) > 2:
            raise UserError(f"{path}: which column is the group? Name it group; there are {', '.join(rows[0])}")
    found = []
    for number, row in enumerate(rows[1:] if headed else rows, 2 if headed else 1):
        if len(row) <= max(image, group) or not row[image] or not row[group]:
            what = f"row {number} ({separator.join(row)})"
            raise UserError(f"{path}: {what} lacks an image or a group: write 0001.png,patient 7")
        found.append((row[image], row[group]))
    return tuple(found)


class _Finder:
    """Finds an item by its name or path, with or without suffix and folders."""

    def __init__(self, items: Iterable[FileItem], where: str) -> None:
        self.where = where
        self.names: dict[str, str] = {}
        self.by_end: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for item in items:
            for stem in item.stems:
                plain = _plain(stem)
                self.names[plain] = item.name
                parts = PurePosixPath(plain).parts
                self.by_end.setdefault(parts[-1], []).append((parts, item.name))

    def __call__(self, given: str) -> str | None:
        """The name of the item, None where there is none.

        Raises:
            UserError: there are several.
        """
        plain = _plain(given)
        if PurePosixPath(plain).suffix.lower() in IMAGE_SUFFIXES and plain not in self.names:
            plain = plain[: -len(PurePosixPath(plain).suffix)]
        if plain in self.names:
            return self.names[plain]
        listed = PurePosixPath(plain).parts
        found = {name for parts, name in self.by_end.get(listed[-1], ()) if _agree(listed, parts)} if listed else set()
        if len(found) > 1:
            raise UserError(f"{self.where}: {given} is in several folders, write its folder too")
        return next(iter(found), None)


def _plain(name: str) -> str:
    return one_form(name.replace("\\", "/"))


def _agree(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two paths are the same from the end on, as far as both go."""
    both = min(len(one), len(other))
    return one[-both:] == other[-both:]
