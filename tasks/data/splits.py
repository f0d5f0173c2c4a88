"""Holding images out without a leak: films are cut in time, photos are drawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nas.errors import UserError
from tasks.data.sets import Item, Source

__all__ = ["Division", "arrange", "check_disjoint", "common_end", "hold_out", "left_out", "sequence_of", "undivided"]

GAP = 2
"""Frames left out between the two sides of a cut, since neighbours in a film are nearly the same image."""

SEED = 20
"""The seed of every draw of a split."""

SHORT = 9
"""A sequence of fewer frames is not cut but held out, or not, as a whole."""

_FRAME = re.compile(r"(.*?)(\d+)\D*$", re.ASCII | re.DOTALL)


def sequence_of(name: str) -> str | None:
    """The film a name belongs to: what stands before its last number ("0016E5_07959" -> "0016E5_").

    None where the name holds no number. Photos that are merely numbered become one film, which does
    no harm: they are cut in the order of their numbers.
    """
    match = _FRAME.match(name)
    return (match.group(1) or "frames") if match else None


def common_end(names: Sequence[str]) -> str:
    """What all names end in, as in 0001_leftImg8bit: it has no part in the number of a frame."""
    if len(names) < 2:
        return ""
    one, other = min(name[::-1] for name in names), max(name[::-1] for name in names)
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    return one[:same][::-1]


def _frame_order(item: Item) -> tuple[tuple[int, str], ...]:
    """A key that puts frame_2 before frame_10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", item.name)
    return tuple((int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts)


def hold_out(items: Sequence[Item], share: float = 1 / 3, most: int = 500) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Cut `items` into what is kept and what is held out, the latter about `share` of them.

    The last `share` of every film is held out, with a gap of two frames that belong to neither side.
    Films too short to be cut, and photos (each a film of one), are held out whole by a draw, at most
    `most` of their images, since a ranking split costs time for every candidate. The draw has a seed
    of its own: runs of different seeds must share their splits, or their scores do not compare.

    Raises:
        UserError: there are too few images for both sides to get one.
    """
    films: dict[str, list[Item]] = {}
    for item in items:
        films.setdefault(item.unit, []).append(item)
    whole = {unit for unit, members in films.items() if len(members) < SHORT or members[0].group is not None}
    short = [films[unit] for unit in films if unit in whole]
    drawn = len(short) >= 3
    kept: list[Item] = []
    held: list[Item] = []
    for unit, frames in films.items():
        if unit in whole and drawn:
            continue
        frames.sort(key=_frame_order)
        gap = GAP if len(frames) >= SHORT else 0
        cut = len(frames) - max(1, round(len(frames) * share))
        kept += frames[: max(0, cut - gap)]
        held += frames[cut:]
    if drawn:
        taken = _draw_whole(short, share, most)
        for place, frames in enumerate(short):
            (held if place in taken else kept).extend(frames)
    if not kept or not held:
        raise UserError(f"too few images to hold some out, {len(items)}: at least 3 are needed")
    return _in_order(items, kept), _in_order(items, held)


def _draw_whole(films: Sequence[Sequence[Item]], share: float, most: int) -> set[int]:
    """Places of the films to hold out: whole ones, in a seeded order, until the share is reached."""
    wanted = min(most, max(1, round(share * sum(map(len, films)))))
    taken: set[int] = set()
    count = 0
    for place in np.random.default_rng(SEED).permutation(len(films)):
        if count >= wanted or len(taken) == len(films) - 1:
            break
        taken.add(int(place))
        count += len(films[place])
    return taken


def _in_order(items: Sequence[Item], some: Sequence[Item]) -> tuple[Item, ...]:
    chosen = {item.name for item in some}
    return tuple(item for item in items if item.name in chosen)


class Division(NamedTuple):
    """The splits of a set; `spare` are the images left out beside the cut between pool and validation."""

    pool: tuple[Item, ...]
    validation: tuple[Item, ...]
    test: tuple[Item, ...]
    spare: tuple[Item, ...] = ()
    ranking_declared: bool = True


def arrange(
    pool: Sequence[Item],
    search_val: Sequence[Item] | None = None,
    val: Sequence[Item] | None = None,
    test: Sequence[Item] | None = None,
) -> Division:
    """The splits of a set from whatever splits it declares.

    A declared test split is the test; where there is none, the declared validation split is, since
    sets keep the labels of their own test to themselves. What is missing is cut from the pool: a
    quarter of it for the test, a third of the rest for ranking.

    Raises:
        UserError: there are too few images to cut.
    """
    ranking, final = search_val, test
    spare: tuple[Item, ...] = ()
    if final is None:
        final = val
    elif ranking is None:
        ranking = val
    if final is None:
        pool, final = hold_out(pool, share=1 / 4)
    declared = ranking is not None
    if ranking is None:
        whole = pool
        pool, ranking = hold_out(whole, share=1 / 3)
        spare = left_out(whole, pool, ranking)
    return Division(tuple(pool), tuple(ranking), tuple(final), spare, declared)


def left_out(items: Sequence[Item], *splits: Sequence[Item]) -> tuple[Item, ...]:
    """The items that are in none of the splits."""
    used = {item.name for split in splits for item in split}
    return tuple(item for item in items if item.name not in used)


def undivided(source: Source) -> Source:
    """The same set with all that was held out of its pool for ranking, and left out beside a cut, back in it."""
    everything = (*source.pool, *source.validation, *source.spare)
    return replace(source, pool=tuple(sorted(everything, key=_frame_order)), validation=(), spare=())


def check_disjoint(source: Source) -> None:
    """See that no image is in two splits.

    Raises:
        UserError: one is; it and the two splits are named.
    """
    splits = {
        "pool": source.pool,
        "validation": source.validation,
        "test": source.test,
        "unlabelled": source.extra,
    }
    seen: dict[str, str] = {}
    for split, items in splits.items():
        for item in items:
            if item.name in seen:
                where = f"twice in {split}" if seen[item.name] == split else f"in {seen[item.name]} and {split}"
                raise UserError(f"{source.name}: {item.name} is {where}: splits must not overlap")
            seen[item.name] = split
