"""The same picture under several names, and neighbouring frames on both sides of a split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nas.tasks.data.copies import find_copies
from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.films import MUCH, NEAR
from nas.tasks.data.sets import Pixels
from nas.tasks.data.thumbnails import difference
from nas.wording import counted

__all__ = ["check_copies"]

CHUNK = 512

LEARNT = ("labelled", "unlabelled")


def check_copies(seen: Examined) -> list[Finding]:
    """Copies across splits, copies within one, and neighbouring frames across splits."""
    names = [name for name, look in seen.readable.items() if look.thumbnail is not None]
    if len(names) < 2:
        return []
    pictures = np.stack([look.thumbnail for look in seen.readable.values() if look.thumbnail is not None])
    split_of = {name: split for split, members in seen.splits.items() for name in members}
    sides = ["learnt" if split_of.get(name) in LEARNT else split_of.get(name, "") for name in names]
    items = seen.members.items
    films = [items[name].sequence if name in items else None for name in names]

    def in_a_film(one: int, other: int) -> bool:
        return films[one] is not None and films[one] == films[other]

    def parted(pair: tuple[int, int]) -> bool:
        one, other = (sides[place] for place in pair)
        return bool(one and other) and one != other

    def told(pairs: list[tuple[int, int]]) -> tuple[str, ...]:
        return tuple(" and ".join(_placed(seen, names[place], split_of) for place in pair) for pair in pairs)

    copies = [pair for pair in find_copies(pictures) if not in_a_film(*pair)]
    found = []
    if across := [pair for pair in copies if parted(pair)]:
        found.append(
            Finding(
                "error",
                f"{counted(len(across), 'picture')} on both sides of a split: scores will look better than they are",
                told(across),
                "Remove one of each, or put both into the same split.",
            )
        )
    if within := [pair for pair in copies if not parted(pair)]:
        found.append(
            Finding(
                "warning",
                f"{counted(len({later for _, later in within}), 'picture')} there twice, under two names",
                told(within),
                "Remove one of each, unless that is intended; copies of images to rank or test on are not learnt from.",
            )
        )
    known = set(copies)
    near = [pair for pair in _near(pictures) if parted(pair) and pair not in known]
    if near:
        found.append(
            Finding(
                "warning",
                f"{counted(len(near), 'pair')} of nearly the same view on both sides of a split, as neighbouring "
                "frames of a film are",
                told(near),
                "Keep frames of one film in one split, by groups.csv or by the folders.",
            )
        )
    return found


def _near(pictures: Pixels) -> Iterator[tuple[int, int]]:
    """Pairs of thumbnails that are much more alike than pictures of the set usually are."""
    order = np.random.default_rng(0).permutation(len(pictures))
    usual = float(np.median(difference(pictures[order], pictures[np.roll(order, 1)])))
    limit = min(NEAR, MUCH * usual)
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    squares, variances = (flat**2).mean(1), flat.var(1)
    for start in range(0, len(flat), CHUNK):
        rows = slice(start, start + CHUNK)
        between = squares[rows, None] + squares - 2 / flat.shape[1] * flat[rows] @ flat.T
        alike = between <= limit * (variances[rows, None] + variances + 1)
        yield from ((start + int(one), int(other)) for one, other in np.argwhere(alike) if start + one < other)


def _placed(seen: Examined, name: str, split_of: dict[str, str]) -> str:
    split = split_of.get(name)
    return f"{seen.images[name].path}" + (f" ({split})" if split else "")
