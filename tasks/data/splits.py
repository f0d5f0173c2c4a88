"""Holding images out without a leak: films are cut in time, photos are drawn."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nas.errors import UserError
from nas.tasks.data.allot import spread
from nas.tasks.data.sets import Item, Source, frame_order, units
from nas.wording import counted

__all__ = [
    "Division",
    "Presence",
    "arrange",
    "check_disjoint",
    "common_end",
    "hold_out",
    "left_out",
    "sequence_of",
    "undivided",
    "without_ranking",
]

GAP = 2
"""Frames left out between the two sides of a cut, since neighbours in a film are nearly the same image."""

SEED = 20
"""The seed of every draw of a split."""

SHORT = 9
"""A sequence of fewer frames is not cut but held out, or not, as a whole."""

Presence = Callable[[Sequence[Item]], np.ndarray]
"""From items to which classes each shows, items x classes, bool."""

_FRAME = re.compile(r"(.*?)(\d+)\D*$", re.ASCII | re.DOTALL)


def sequence_of(name: str) -> str | None:
    """The film a name belongs to: what stands before its last number ("0016E5_07959" -> "0016E5_").

    None where the name holds no number. It is a guess: `nas.tasks.data.films` tells films from numbered photos.
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


def hold_out(
    items: Sequence[Item], share: float = 1 / 3, most: int = 500, presence: Presence | None = None
) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Cut `items` into what is kept and what is held out, the latter about `share` of them.

    The last `share` of every film is held out, with a gap of two frames that belong to neither side.
    Groups, films too short to be cut, and photos are held out whole by a draw, at most
    `most` of their images, since a ranking split costs time for every candidate. The draw has a seed
    of its own: runs of different seeds must share their splits, or their scores do not compare.

    Args:
        items: images of any order.
        share: of them to hold out.
        most: images to hold out by the draw.
        presence: which classes each item shows (items x classes, bool). With it both sides get every class if they
            can, and the kept side two images of it, so that it can be cut again.

    Raises:
        UserError: there are too few images for both sides to get one.
    """
    films: dict[str, list[Item]] = {}
    for item in items:
        if item.sequence is not None:
            films.setdefault(item.sequence, []).append(item)
    long = {name: frames for name, frames in films.items() if len(frames) >= SHORT}
    if len({*units(items)}) == 1 and len(films) == 1:
        long = films  # all there is
    kept: list[Item] = []
    held: list[Item] = []
    for frames in long.values():
        frames.sort(key=frame_order)
        cut = len(frames) - max(1, round(len(frames) * share))
        kept += frames[: max(0, cut - (GAP if len(frames) >= SHORT else 0))]
        held += frames[cut:]
    rest = [item for item in items if item.sequence not in long]
    if len({*units(rest)}) > 1:
        taken = _draw(rest, share, most, presence, kept, held)
        held += [item for item, out in zip(rest, taken, strict=True) if out]
        kept += [item for item, out in zip(rest, taken, strict=True) if not out]
    else:
        kept += rest
    if not kept or not held:
        of = len({*units(items)})
        what = counted(len(items), "image") + (f" of {counted(of, 'group')}" if of < len(items) else "")
        raise UserError(f"too few images to hold some out, {what}: at least 3 are needed, of 3 groups")
    return _in_order(items, kept), _in_order(items, held)


def _draw(
    items: Sequence[Item],
    share: float,
    most: int,
    presence: Presence | None,
    kept: Sequence[Item],
    held: Sequence[Item],
) -> np.ndarray:
    """Which items to hold out: whole units in a seeded order until the share is reached, then swaps for classes."""
    names, of_item = np.unique(units(items), return_inverse=True)
    # In the order of the items, as draws were made since there are no groups.
    first = np.array([np.flatnonzero(of_item == unit)[0] for unit in range(len(names))])
    of_item = np.argsort(np.argsort(first))[of_item]
    sizes = np.bincount(of_item)
    wanted = min(most, max(1, round(share * len(items))))
    part = _until(sizes, wanted).astype(np.int64)
    if presence is not None:
        shown = presence(items)
        of_unit = np.zeros((len(sizes), shown.shape[1]), bool)
        np.logical_or.at(of_unit, of_item, shown)
        fixed = np.stack([presence(side).sum(0) for side in (kept, held)])
        spread(part, of_unit, sizes, np.array([len(items) - wanted, wanted]), _one_sided(fixed), SEED)
    chosen: np.ndarray = part[of_item] == 1
    return chosen


def _until(sizes: np.ndarray, wanted: int) -> np.ndarray:
    """Units in a seeded order until they hold about `wanted` images; never none, and two are left where there are."""
    taken = np.zeros(len(sizes), bool)
    order = np.random.default_rng(SEED).permutation(len(sizes))
    for unit in order:
        count = int(sizes[taken].sum())
        if count >= wanted or taken.sum() >= max(1, len(sizes) - 2):
            break
        taken[unit] = abs(count + int(sizes[unit]) - wanted) <= abs(count - wanted)
    if not taken.any():
        taken[order[sizes[order].argmin()]] = True
    return taken


def _one_sided(fixed: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """What is wrong with each class: not to be learnt, not to be held out, or to leave nothing for another cut."""

    def wrong(counts: np.ndarray) -> np.ndarray:
        kept, held = counts + fixed
        faults: np.ndarray = (1000 * (kept == 0) + 10 * (held == 0) + 1 * (kept == 1)) * (kept + held > 0)
        return faults

    return wrong


def _in_order(items: Sequence[Item], some: Sequence[Item]) -> tuple[Item, ...]:
    chosen = {item.name for item in some}
    return tuple(item for item in items if item.name in chosen)


class Division(NamedTuple):
    """The splits of a set, as `Source` has them."""

    pool: tuple[Item, ...]
    validation: tuple[Item, ...]
    test: tuple[Item, ...]
    spare: tuple[Item, ...] = ()
    ranking_declared: bool = True
    copies: tuple[Item, ...] = ()
    test_declared: bool = True


def arrange(
    pool: Sequence[Item],
    search_val: Sequence[Item] | None = None,
    val: Sequence[Item] | None = None,
    test: Sequence[Item] | None = None,
    presence: Presence | None = None,
) -> Division:
    """The splits of a set from whatever splits it declares.

    A declared test split is the test; where there is none, the declared validation split is, since
    sets keep the labels of their own test to themselves. What is missing is cut from the pool: a
    quarter of it for the test, a third of the rest for ranking; by `presence` (see `hold_out`) so that each
    has every class if it can.

    Raises:
        UserError: there are too few images to cut.
    """
    ranking, final = search_val, test
    spare: tuple[Item, ...] = ()
    if final is None:
        final = val
    elif ranking is None:
        ranking = val
    test_declared = final is not None
    if final is None:
        pool, final = hold_out(pool, share=1 / 4, presence=presence)
    declared = ranking is not None
    if ranking is None:
        whole = pool
        pool, ranking = hold_out(whole, share=1 / 3, presence=presence)
        spare = left_out(whole, pool, ranking)
    return Division(tuple(pool), tuple(ranking), tuple(final), spare, declared, test_declared=test_declared)


def left_out(items: Sequence[Item], *splits: Sequence[Item]) -> tuple[Item, ...]:
    """The items that are in none of the splits."""
    used = {item.name for split in splits for item in split}
    return tuple(item for item in items if item.name not in used)


def undivided(source: Source) -> Source:
    """The same set with all that was held out of its pool for ranking, and left out beside a cut, back in it."""
    everything = (*source.pool, *source.validation, *source.spare)
    return without_ranking(replace(source, pool=tuple(sorted(everything, key=frame_order)), spare=()))


def without_ranking(source: Source) -> Source:
    """The same set with no images to rank on, and with the unlabelled ones that were left out because of them."""
    extra = (*source.extra, *source.ranking_extra)
    return replace(source, validation=(), extra=extra, ranking_extra=(), ranking_left_out=())


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
