"""Which images of a folder belong together, by groups.csv, as frames of a film or as copies, and keeping them so."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from nas.tasks.data.copies import find_copies, group_copies
from nas.tasks.data.films import find_films
from nas.tasks.data.image_groups import GROUPS_FILE, NAMED, grouped_by_file
from nas.tasks.data.items import FileItem
from nas.tasks.data.sets import Item, LeftOut, Pixels, units
from nas.tasks.data.splits import Division
from nas.tasks.data.thumbnails import thumbnails
from nas.wording import counted

__all__ = ["Together", "bring_together"]

_log = logging.getLogger(__name__)

FEWEST = 3
"""Groups that splits need: one to learn from, one to rank on and one to test on."""


@dataclass(frozen=True)
class Together:
    """Images with masks and images without, each with its film (`sequence`) and `group`.

    Attributes:
        labelled, extra: the items.
        pictures: a thumbnail of each by name.
        same: names of the images that show the same picture, by name of the image; neighbouring frames may be among
            them.
        given: the group that groups.csv gives, by name of the image.
        copies: how many images with masks show the picture of one before them, frames of one film aside.
        notes: what groups.csv says, in a sentence; empty where there is no such file.
    """

    labelled: tuple[FileItem, ...]
    extra: tuple[FileItem, ...]
    pictures: Mapping[str, Pixels]
    same: Mapping[str, Sequence[str]]
    given: Mapping[str, str]
    copies: int
    notes: tuple[str, ...] = ()

    def apart(self, splits: Division) -> tuple[Division, tuple[LeftOut, ...]]:
        """The splits without images to learn from that are copies of those to rank or test on, and with what is out.

        Copies within splits that are cut here are together anyway; declared splits and films may part them. A group of
        groups.csv that declared splits part stays so, and a warning names it. Where nothing would be left, all stays,
        with a warning.
        """
        self._tell_of_parted_groups(splits)
        validation = self._without_copies(splits.validation, splits.test)
        held = (*validation, *splits.test)
        pool, spare = (self._without_copies(part, held) for part in (splits.pool, splits.spare))
        lost = {item.name for item in (*splits.pool, *splits.validation, *splits.spare)}
        lost -= {item.name for item in (*pool, *validation, *spare)}
        if not lost:
            return splits, ()
        if not pool or not validation:
            sides = ("rank on", "test on") if pool else ("learn from", "rank or test on")
            _log.warning(
                "every image to %s is a copy of one to %s, the first is %s: scores say nothing until the splits get "
                "other images",
                *sides,
                min(lost),
            )
            return splits, ()
        copies = tuple(item for item in self.labelled if item.name in lost)
        note = LeftOut("copies of images to rank or test on", len(lost), min(lost))
        return splits._replace(pool=pool, validation=validation, spare=spare, copies=copies), (note,)

    def extra_beside(
        self, extra: Sequence[FileItem], held: Sequence[Item], purpose: str
    ) -> tuple[tuple[FileItem, ...], tuple[LeftOut, ...]]:
        """Of images without masks those that are no copies of the held-out ones and of no group of theirs.

        Args:
            extra: some of `self.extra`.
            held: images that are held out.
            purpose: what for, such as "test on".
        """
        groups = {self.given[item.name] for item in held if item.name in self.given}
        kin = [item for item in extra if self.given.get(item.name) in groups]
        others = tuple(item for item in extra if self.given.get(item.name) not in groups)
        kept = self._without_copies(others, held)
        names = {item.name for item in kept}
        copied = [item for item in others if item.name not in names]
        notes = [
            (f"unlabelled images that are copies of images to {purpose}", copied),
            (f"unlabelled images of the same group as images to {purpose}", kin),
        ]
        return kept, tuple(LeftOut(reason, len(some), some[0].name) for reason, some in notes if some)

    def _without_copies(self, some: Sequence[Any], held: Sequence[Item]) -> tuple[Any, ...]:
        """The items that show no picture of the held ones; frames of one film do not count as copies."""
        by_name = {item.name: item for item in held}

        def copied(item: Item) -> bool:
            others = (by_name[name] for name in self.same.get(item.name, ()) if name in by_name)
            return not all(_in_one_film(item, other) for other in others)

        return tuple(item for item in some if not copied(item))

    def _tell_of_parted_groups(self, splits: Division) -> None:
        sides = {"learn from": splits.pool, "rank on": splits.validation, "test on": splits.test}
        of: dict[str, set[str]] = {}
        for side, items in sides.items():
            for item in items:
                if item.name in self.given:
                    of.setdefault(self.given[item.name], set()).add(side)
        parted = [group for group, where in of.items() if len(where) > 1]
        if parted:
            more = f" and {len(parted) - NAMED} more" if len(parted) > NAMED else ""
            _log.warning(
                "%s of %s are on both sides of the splits that the set declares: %s%s",
                counted(len(parted), "group"),
                GROUPS_FILE,
                ", ".join(parted[:NAMED]),
                more,
            )


def bring_together(labelled: Sequence[FileItem], extra: Sequence[FileItem], folder: Path, bar: tqdm[Any]) -> Together:
    """See which images belong together.

    Args:
        labelled: images with masks; their `sequence` is a guess by name.
        extra: images without.
        folder: where groups.csv may be.
        bar: moved on by one an image.

    Raises:
        UserError: groups.csv cannot be read or does not fit the images.
    """
    every, notes = grouped_by_file((*labelled, *extra), folder / GROUPS_FILE)
    given = {item.name: item.group for item in every if item.group is not None}
    pictures = thumbnails(every, bar)
    count = len(labelled)
    known = (*find_films(every[:count], pictures[:count]), *every[count:])
    pairs = find_copies(pictures)
    copies = [(one, other) for one, other in pairs if not _in_one_film(known[one], known[other])]
    grouped = _with_copies(known, copies, count)
    return Together(
        grouped[:count],
        grouped[count:],
        dict(zip((item.name for item in every), pictures, strict=True)),
        _by_name(every, pairs),
        given,
        len({other for _, other in copies if other < count}),
        notes,
    )


def _with_copies(items: tuple[FileItem, ...], copies: Sequence[tuple[int, int]], labelled: int) -> tuple[FileItem, ...]:
    """The items with copies in one group, or unchanged with a warning if too few groups would be left.

    Args:
        items: the images; the first `labelled` ones have masks.
        copies: pairs of positions among them.
        labelled: how many have masks.
    """
    grouped = group_copies(items, copies)
    groups = len({*units(grouped[:labelled])})
    if groups >= FEWEST or len({*units(items[:labelled])}) < FEWEST:
        return grouped
    _log.warning(
        "the images show %s only, so there are copies on both sides of a split and scores mean nothing: add other "
        "images",
        counted(groups, "picture"),
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
