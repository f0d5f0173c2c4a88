"""Hold images out without leaks: films are cut in time, photos are drawn at random."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nas.errors import UserError
from nas.tasks.data.allot import Penalty, swap_for_classes
from nas.tasks.data.sets import Item, Source, frame_order, group_labels
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
"""Frames left out at a cut, since neighbouring frames are nearly the same image."""

SEED = 20
"""Seed of every draw of a split."""

SHORT = 9
"""A film with fewer frames is not cut; all of it is on one side."""

Presence = Callable[[Sequence[Item]], np.ndarray]
"""From items to the classes that each shows, items x classes, bool."""

_FRAME = re.compile(r"(.*?)(\d+)\D*$", re.ASCII | re.DOTALL)


def sequence_of(name: str) -> str | None:
    """Guess the film of a frame: the part of the name before its last number ("0016E5_07959" -> "0016E5_").

    None if the name has no number. `nas.tasks.data.films` tells films from numbered photos by their pixels.
    """
    match = _FRAME.match(name)
    return (match.group(1) or "frames") if match else None


def common_end(names: Sequence[str]) -> str:
    """The common end of all names, such as _leftImg8bit; a number in it does not count frames."""
    if len(names) < 2:
        return ""
    one, other = min(name[::-1] for name in names), max(name[::-1] for name in names)
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    return one[:same][::-1]


def hold_out(
    items: Sequence[Item], share: float = 1 / 3, most: int = 500, presence: Presence | None = None
) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Divide `items` into what is kept and what is held out.

    The last `share` of every film is held out; a gap of two frames before it is on neither side. Photos, groups and
    films too short to cut are drawn at random, and a group or short film is never divided. At most `most` images are
    drawn, since every candidate is evaluated on the ranking split. The draw has a fixed seed, because scores are
    comparable only if runs with different seeds have the same splits.

    Args:
        items: images in any order.
        share: share of the images to hold out.
        most: largest number of images to draw.
        presence: which classes each item shows. If given, both sides get every class if possible, and the kept side two
            images of it, so that it can be divided again.

    Returns:
        The kept and the held-out items.

    Raises:
        UserError: there are too few images for both sides.
    """
    films = _long_films(items)
    kept, held = _cut_in_time(films.values(), share)
    rest = [item for item in items if item.sequence not in films]
    if len({*group_labels(rest)}) > 1:
        drawn = _draw(rest, share, most, presence, kept, held)
        held += [item for item, out in zip(rest, drawn, strict=True) if out]
        kept += [item for item, out in zip(rest, drawn, strict=True) if not out]
    else:
        kept += rest
    if not kept or not held:
        groups = len({*group_labels(items)})
        what = counted(len(items), "image") + (f" of {counted(groups, 'group')}" if groups < len(items) else "")
        raise UserError(f"too few images to hold some out, {what}: at least 3 are needed, of 3 groups")
    return _in_order(items, kept), _in_order(items, held)


def _long_films(items: Sequence[Item]) -> dict[str, list[Item]]:
    """The films that are long enough to cut in time, by name; a film that is all there is counts as long."""
    films: dict[str, list[Item]] = {}
    for item in items:
        if item.sequence is not None:
            films.setdefault(item.sequence, []).append(item)
    if len({*group_labels(items)}) == 1 and len(films) == 1:
        return films
    return {name: frames for name, frames in films.items() if len(frames) >= SHORT}


def _cut_in_time(films: Iterable[Sequence[Item]], share: float) -> tuple[list[Item], list[Item]]:
    """The frames before and after a cut of each film."""
    kept: list[Item] = []
    held: list[Item] = []
    for film in films:
        frames = sorted(film, key=frame_order)
        cut = len(frames) - max(1, round(len(frames) * share))
        kept += frames[: max(0, cut - (GAP if len(frames) >= SHORT else 0))]
        held += frames[cut:]
    return kept, held


def _draw(
    items: Sequence[Item],
    share: float,
    most: int,
    presence: Presence | None,
    kept: Sequence[Item],
    held: Sequence[Item],
) -> np.ndarray:
    """Which items to hold out: random units up to the share, then swaps to have the classes on both sides.

    Args:
        items, share, most, presence: see `hold_out`.
        kept, held: frames of films that are on the two sides already.
    """
    names, of_item = np.unique(group_labels(items), return_inverse=True)
    # Units are numbered by their first item, so that the draw does not depend on their names.
    first = np.array([np.flatnonzero(of_item == unit)[0] for unit in range(len(names))])
    of_item = np.argsort(np.argsort(first))[of_item]
    sizes = np.bincount(of_item)
    wanted = min(most, max(1, round(share * len(items))))
    part = _random_units(sizes, wanted).astype(np.int64)
    if presence is not None:
        shown = presence(items)
        of_unit = np.zeros((len(sizes), shown.shape[1]), bool)
        np.logical_or.at(of_unit, of_item, shown)
        fixed = np.stack([presence(side).sum(0) for side in (kept, held)])
        swap_for_classes(part, of_unit, sizes, np.array([len(items) - wanted, wanted]), _penalty(fixed), SEED)
    chosen: np.ndarray = part[of_item] == 1
    return chosen


def _random_units(sizes: np.ndarray, wanted: int) -> np.ndarray:
    """Draw units until they hold about `wanted` images: at least one, and all but two at most if there are enough."""
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


def _penalty(fixed: np.ndarray) -> Penalty:
    """Build the penalty of a division into a kept and a held-out side.

    A class costs 1000 if the kept side lacks it, 10 if the held-out side lacks it, and 1 if the kept side shows it only
    once, so that it cannot be divided again.

    Args:
        fixed: number of images that show each class and are on the two sides already, 2 x classes.
    """

    def penalty(counts: np.ndarray) -> np.ndarray:
        kept, held = counts + fixed
        total: np.ndarray = (1000 * (kept == 0) + 10 * (held == 0) + 1 * (kept == 1)) * (kept + held > 0)
        return total

    return penalty


def _in_order(items: Sequence[Item], some: Sequence[Item]) -> tuple[Item, ...]:
    chosen = {item.name for item in some}
    return tuple(item for item in items if item.name in chosen)


class Division(NamedTuple):
    """The splits of a data set; the fields have the names of those of `Source`."""

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
    """Make the splits of a data set from the splits that it declares.

    Without a declared test split, the declared validation split is used for testing, since public data sets publish no
    labels of their test split. A missing test split is a quarter of the pool, a missing ranking split a third of the
    rest.

    Args:
        pool: labelled images to train on.
        search_val: declared ranking images.
        val: declared validation images, used for testing, or for ranking if there is a test split.
        test: declared test images.
        presence: see `hold_out`.

    Raises:
        UserError: there are too few images to divide.
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
    """The items that are in no split."""
    used = {item.name for split in splits for item in split}
    return tuple(item for item in items if item.name not in used)


def undivided(source: Source) -> Source:
    """Return the source with its ranking images, and those in the gap beside them, back in the pool."""
    everything = (*source.pool, *source.validation, *source.spare)
    return without_ranking(replace(source, pool=tuple(sorted(everything, key=frame_order)), spare=()))


def without_ranking(source: Source) -> Source:
    """Return the source without ranking images, and with the unlabelled images left out because of them."""
    extra = (*source.extra, *source.ranking_extra)
    return replace(source, validation=(), extra=extra, ranking_extra=(), ranking_left_out=())


def check_disjoint(source: Source) -> None:
    """Check that no image is in two splits.

    Raises:
        UserError: an image is in two splits; the message names them.
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
