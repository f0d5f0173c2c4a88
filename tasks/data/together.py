"""Link the images of a folder that must stay on one side of a split: groups of groups.csv, films and copies."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from nas.tasks.data.copies import find_copies, group_copies
from nas.tasks.data.films import find_films
from nas.tasks.data.image_groups import GROUPS_FILE, grouped_by_file, listed
from nas.tasks.data.items import FileItem
from nas.tasks.data.sets import Item, LeftOut, Pixels, group_labels
from nas.tasks.data.splits import Division
from nas.tasks.data.thumbnails import make_thumbnails
from nas.wording import counted

__all__ = ["LinkedImages", "link_images"]

_log = logging.getLogger(__name__)

FEWEST = 3
"""Groups that splits need: one to train on, one to rank on and one to test on."""


@dataclass(frozen=True)
class LinkedImages:
    """Images with and without masks, with their films (`sequence`) and groups (`group`).

    Attributes:
        labelled: images with masks.
        extra: images without masks.
        thumbnails: thumbnail of each image by name.
        copies_of: by name of an image, names of the images that show the same picture, neighbouring frames included.
        group_of: group of groups.csv by name of the image.
        copy_count: number of images with masks that are copies of an earlier one, without frames of one film.
        notes: sentences on groups.csv; empty without the file.
    """

    labelled: tuple[FileItem, ...]
    extra: tuple[FileItem, ...]
    thumbnails: Mapping[str, Pixels]
    copies_of: Mapping[str, Sequence[str]]
    group_of: Mapping[str, str]
    copy_count: int
    notes: tuple[str, ...] = ()

    def without_leaks(self, splits: Division) -> tuple[Division, tuple[LeftOut, ...]]:
        """Remove training images that copy ranking or test images, and ranking images that copy test images.

        Only declared splits and cuts through films can separate copies. If no training or no ranking image would be
        left, nothing is removed, with a warning. Groups that declared splits divide remain divided, with a warning.

        Returns:
            The splits, and what was removed.
        """
        self._warn_of_divided_groups(splits)
        validation = self._without_copies(splits.validation, splits.test)
        held = (*validation, *splits.test)
        pool, spare = (self._without_copies(part, held) for part in (splits.pool, splits.spare))
        removed = {item.name for item in (*splits.pool, *splits.validation, *splits.spare)}
        removed -= {item.name for item in (*pool, *validation, *spare)}
        if not removed:
            return splits, ()
        if not pool or not validation:
            kinds = ("ranking", "test") if pool else ("training", "ranking or test")
            _log.warning(
                "every %s image is a copy of a %s image, the first is %s: scores mean nothing until the splits get "
                "other images",
                *kinds,
                min(removed),
            )
            return splits, ()
        copies = tuple(item for item in self.labelled if item.name in removed)
        left_out = LeftOut("copies of ranking or test images", len(removed), min(removed))
        return splits._replace(pool=pool, validation=validation, spare=spare, copies=copies), (left_out,)

    def unlabelled_without_leaks(
        self, extra: Sequence[FileItem], held: Sequence[Item], kind: str
    ) -> tuple[tuple[FileItem, ...], tuple[LeftOut, ...]]:
        """Remove copies of held-out images, and images of their groups, from images without masks.

        Args:
            extra: images of `self.extra`.
            held: held-out images.
            kind: what they are for, "ranking" or "test".

        Returns:
            The images that may be trained on, and what was removed.
        """
        groups = {self.group_of[item.name] for item in held if item.name in self.group_of}
        same_group = [item for item in extra if self.group_of.get(item.name) in groups]
        others = tuple(item for item in extra if self.group_of.get(item.name) not in groups)
        kept = self._without_copies(others, held)
        names = {item.name for item in kept}
        copies = [item for item in others if item.name not in names]
        removed = [
            (f"unlabelled copies of {kind} images", copies),
            (f"unlabelled images of the groups of {kind} images", same_group),
        ]
        return kept, tuple(LeftOut(reason, len(some), some[0].name) for reason, some in removed if some)

    def _without_copies(self, some: Sequence[Any], held: Sequence[Item]) -> tuple[Any, ...]:
        """The items without copies of held-out ones; frames of one film do not count as copies."""
        by_name = {item.name: item for item in held}

        def is_copy(item: Item) -> bool:
            others = (by_name[name] for name in self.copies_of.get(item.name, ()) if name in by_name)
            return not all(_in_one_film(item, other) for other in others)

        return tuple(item for item in some if not is_copy(item))

    def _warn_of_divided_groups(self, splits: Division) -> None:
        sides: dict[str, set[int]] = {}
        for side, items in enumerate((splits.pool, splits.validation, splits.test)):
            for item in items:
                if item.name in self.group_of:
                    sides.setdefault(self.group_of[item.name], set()).add(side)
        divided = [group for group, where in sides.items() if len(where) > 1]
        if divided:
            _log.warning(
                "the declared splits divide %s of %s: %s",
                counted(len(divided), "group"),
                GROUPS_FILE,
                listed(divided),
            )


def link_images(labelled: Sequence[FileItem], extra: Sequence[FileItem], folder: Path, bar: tqdm[Any]) -> LinkedImages:
    """Find the films, groups and copies among images.

    Args:
        labelled: images with masks; `sequence` is a guess by their names.
        extra: images without masks.
        folder: folder that may hold groups.csv.
        bar: progress bar, updated by each image.

    Raises:
        UserError: groups.csv cannot be read or does not fit the images.
    """
    images, notes = grouped_by_file((*labelled, *extra), folder / GROUPS_FILE)
    group_of = {item.name: item.group for item in images if item.group is not None}
    thumbnails = make_thumbnails(images, bar)
    count = len(labelled)
    known = (*find_films(images[:count], thumbnails[:count]), *images[count:])
    pairs = find_copies(thumbnails)
    copies = [(one, other) for one, other in pairs if not _in_one_film(known[one], known[other])]
    grouped = _with_copies(known, copies, count)
    return LinkedImages(
        grouped[:count],
        grouped[count:],
        dict(zip((item.name for item in images), thumbnails, strict=True)),
        _by_name(images, pairs),
        group_of,
        len({other for _, other in copies if other < count}),
        notes,
    )


def _with_copies(items: tuple[FileItem, ...], copies: Sequence[tuple[int, int]], labelled: int) -> tuple[FileItem, ...]:
    """Put copies into one group, unless this leaves too few groups; then warn.

    Args:
        items: the images; the first `labelled` ones have masks.
        copies: pairs of indices of `items`.
        labelled: number of images with masks.
    """
    grouped = group_copies(items, copies)
    groups = len({*group_labels(grouped[:labelled])})
    if groups >= FEWEST or len({*group_labels(items[:labelled])}) < FEWEST:
        return grouped
    _log.warning(
        "the images show only %s, so there are copies on both sides of a split and scores mean nothing: add other "
        "images",
        counted(groups, "different picture"),
    )
    return items


def _by_name(items: Sequence[FileItem], pairs: Sequence[tuple[int, int]]) -> dict[str, list[str]]:
    """The names that are paired with each name."""
    found: dict[str, list[str]] = {}
    for one, other in pairs:
        found.setdefault(items[one].name, []).append(items[other].name)
        found.setdefault(items[other].name, []).append(items[one].name)
    return found


def _in_one_film(one: Item, other: Item) -> bool:
    return one.sequence is not None and one.sequence == other.sequence
