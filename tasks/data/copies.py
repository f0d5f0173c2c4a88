"""Copies among images: the same picture under two names, also in another format, size or quality."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from nas.tasks.data.items import FileItem
from nas.tasks.data.joined import Joined
from nas.tasks.data.sets import Pixels
from nas.tasks.data.thumbnails import SIDE, difference

__all__ = ["count_copies", "group_copies", "near_copies"]

ALIKE = 0.005
"""Difference of thumbnails (see `difference`) up to which they show the same picture, if also ..."""

SPOT = 24
"""... nowhere, in no 1/32 of the height and width, do they differ by more grey levels than this."""

FAINT = 0.03
"""The same as `ALIKE` for pictures that differ by no more than rounding, a mean squared grey level of 1."""

PLAIN = 2.0
"""Standard deviation below which a picture shows too little to be recognised, as an empty sky."""

CHUNK = 1024


def near_copies(some: Pixels, others: Pixels) -> Iterator[tuple[int, int]]:
    """Pairs of places, one in each of two stacks of thumbnails (N x 32 x 32), that show the same picture.

    Other formats, sizes and qualities change a thumbnail by a grey level or two. Thumbnails are compared rather than
    hashes made of them, since all pairs of some thousands take a second and a hash would need this check after it.
    """
    columns = others.reshape(-1, SIDE * SIDE).astype(np.float32)
    column_norms, column_variance = (columns**2).sum(1), columns.var(1)
    for start in range(0, len(some), CHUNK):
        rows = some[start : start + CHUNK].reshape(-1, SIDE * SIDE).astype(np.float32)
        squares = (rows**2).sum(1)[:, None] + column_norms - 2 * rows @ columns.T
        most = FAINT * (rows.var(1)[:, None] + column_variance + 1)
        # The sum of large squares is rounded, so a little more is let through to the exact comparison.
        for row, column in zip(*np.nonzero(squares <= (most + 1) * SIDE * SIDE), strict=True):
            if _same(some[start + row], others[column]):
                yield start + int(row), int(column)


def _same(one: Pixels, other: Pixels) -> bool:
    if min(one.std(), other.std()) < PLAIN:
        return False
    gap = np.abs(one.astype(np.int16) - other)
    most = FAINT if (gap.astype(float) ** 2).mean() <= 1 else ALIKE
    return bool(gap.max() <= SPOT and difference(one, other) <= most)


def group_copies(items: Sequence[FileItem], pictures: Pixels) -> tuple[FileItem, ...]:
    """The items with each other's copies in one `group`, joined with the groups that they are in already.

    Neighbours in a film are alike anyway and stay as they are.
    """
    joined = Joined(len(items))
    for one, other in near_copies(pictures, pictures):
        if one < other and (items[one].sequence is None or items[one].sequence != items[other].sequence):
            joined.join(one, other)
    of_group: dict[str, int] = {}
    for place, item in enumerate(items):
        if item.group is not None:
            joined.join(of_group.setdefault(item.group, place), place)
    members: dict[int, list[int]] = defaultdict(list)
    for place in range(len(items)):
        members[joined.root(place)].append(place)
    found = list(items)
    for places in members.values():
        names = list(dict.fromkeys(g for g in (items[place].group for place in places) if g is not None))
        if len(places) > 1 and (len(names) != 1 or any(items[place].group is None for place in places)):
            name = " + ".join(names) or items[places[0]].name
            for place in places:
                found[place] = replace(items[place], group=name)
    return tuple(found)


def count_copies(items: Sequence[FileItem], pictures: Pixels) -> int:
    """How many images show the picture of one before them, neighbours in a film aside."""
    return len(
        {
            max(pair)
            for pair in near_copies(pictures, pictures)
            if pair[0] != pair[1]
            and (items[pair[0]].sequence is None or items[pair[0]].sequence != items[pair[1]].sequence)
        }
    )
