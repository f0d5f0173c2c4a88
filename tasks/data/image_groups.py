"""groups.csv: groups of images that splits must not divide, such as those of a patient, a site or a film."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from nas.errors import UserError
from nas.tasks.data.files import IMAGE_SUFFIXES
from nas.tasks.data.items import FileItem
from nas.tasks.data.stems import same_end
from nas.tasks.data.texts import composed, read_text
from nas.wording import counted

__all__ = ["GROUPS_FILE", "grouped_by_file", "in_groups", "listed", "read_image_groups"]

_log = logging.getLogger(__name__)

GROUPS_FILE = "groups.csv"

MOST_LISTED = 5
"""Largest number of images or groups that a message lists."""

_IMAGE_COLUMNS = ("image", "images", "file", "filename", "file_name", "name", "stem", "path", "photo")
_GROUP_COLUMNS = (
    *("group", "groups", "patient", "patient_id", "subject", "subject_id", "site", "film", "video", "sequence"),
    *("scene", "location", "case", "slide", "plot", "camera", "field", "batch"),
)


def grouped_by_file(items: tuple[FileItem, ...], file: Path) -> tuple[tuple[FileItem, ...], tuple[str, ...]]:
    """Return the items with their groups of groups.csv, and a sentence on the file; unchanged if there is no file.

    A warning lists names in the file that match no image.

    Raises:
        UserError: the file cannot be read or does not fit the images.
    """
    if not file.is_file():
        return items, ()
    found, unknown = in_groups(items, read_image_groups(file), str(file))
    if unknown:
        _log.warning(
            "%s names %s not in this data set: %s; correct the names, or remove their rows",
            GROUPS_FILE,
            counted(len(unknown), "image"),
            listed(unknown),
        )
    groups = [item.group for item in found if item.group is not None]
    count = counted(len(set(groups)), "group")
    return found, (f"{len(groups)} of {counted(len(items), 'image')} are in {count}, by {GROUPS_FILE}",)


def in_groups(
    items: Sequence[FileItem], groups: Sequence[tuple[str, str]], where: str
) -> tuple[tuple[FileItem, ...], tuple[str, ...]]:
    """Assign groups to items.

    Args:
        items: the images.
        groups: rows (image, group).
        where: the file, for error messages.

    Returns:
        The items with their groups, and the names of rows that match no item.

    Raises:
        UserError: a row matches several images, an image is in two groups, or no row matches an image.
    """
    find = _Finder(items, where)
    group_of: dict[str, str] = {}
    unknown: list[str] = []
    for image, group in groups:
        name = find(image)
        if name is None:
            unknown.append(image)
        elif group_of.setdefault(name, group) != group:
            raise UserError(f"{where}: {image} is in {group_of[name]} and in {group}: give it one group")
    if groups and not group_of:
        raise UserError(
            f"{where}: no row names an image of this data set; the first of {len(groups)} names {groups[0][0]}"
        )
    grouped = tuple(
        replace(item, group=group_of[item.name], sequence=None) if item.name in group_of else item for item in items
    )
    return grouped, tuple(dict.fromkeys(unknown))


def read_image_groups(path: Path) -> tuple[tuple[str, str], ...]:
    """Read rows (image, group) of a table with two or more columns, with or without a header.

    Values are separated by commas, semicolons or tabs; the text is UTF-8 or UTF-16. A table of more than two columns
    needs a header that names the image and the group column.

    Raises:
        UserError: the file cannot be read, or a row has no group.
    """
    lines = [line for line in read_text(path, "a table of groups").splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{path} is empty: write one line for each image, such as 0001.png,patient 7")
    separator = max("\t;,", key=lines[0].count)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    heads = [cell.lower() for cell in rows[0]]
    headed = any(head in _IMAGE_COLUMNS for head in heads)
    image = next((place for place, head in enumerate(heads) if head in _IMAGE_COLUMNS), 0)
    group = next((place for place, head in enumerate(heads) if headed and head in _GROUP_COLUMNS), None)
    if group is None:
        group = 1 if image == 0 else 0
        if headed and len(heads) > 2:
            raise UserError(f"{path}: which column is the group? Name it 'group'; the columns are {', '.join(rows[0])}")
    found = []
    for number, row in enumerate(rows[1:] if headed else rows, 2 if headed else 1):
        if len(row) <= max(image, group) or not row[image] or not row[group]:
            what = f"row {number} ({separator.join(row)})"
            raise UserError(f"{path}: {what} lacks an image or a group: write 0001.png,patient 7")
        found.append((row[image], row[group]))
    return tuple(found)


def listed(names: Sequence[str]) -> str:
    """List the first few names, and say how many more there are."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more


class _Finder:
    """Finds the name of an item by its name or path, with or without suffix and folders."""

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
        """Return the name of the item, None if there is none.

        Raises:
            UserError: there are several.
        """
        plain = _plain(given)
        if PurePosixPath(plain).suffix.lower() in IMAGE_SUFFIXES and plain not in self.names:
            plain = plain[: -len(PurePosixPath(plain).suffix)]
        if plain in self.names:
            return self.names[plain]
        wanted = PurePosixPath(plain).parts
        candidates = self.by_end.get(wanted[-1], []) if wanted else []
        found = {name for parts, name in candidates if same_end(wanted, parts)}
        if len(found) > 1:
            raise UserError(f"{self.where}: {given} is in several folders: add its folder")
        return next(iter(found), None)


def _plain(name: str) -> str:
    return composed(name.replace("\\", "/"))
