"""Messages on the masks of a data set: how they were understood, what may be wrong, and what to do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nas.tasks.data.mask_counts import Tally, count_keys
from nas.tasks.data.palettes import Colour
from nas.tasks.data.sets import VOID
from nas.tasks.data.soft_edges import Levels

__all__ = [
    "colours_without_table",
    "levels",
    "no_class_of",
    "no_classes",
    "soft_edges",
    "two_kinds_of_white",
    "void_may_be_a_class",
]

MOST_LISTED = 12
"""Largest number of values or colours that a message lists."""

SAVE_UNSMOOTHED = "save the masks again without smoothing (nearest neighbour, no anti-aliasing, no JPEG)"


def levels(found: Sequence[tuple[int | Colour, int, str]]) -> str:
    """Describe each value or colour by its class and its share of the pixels."""
    pixels = sum(count for _, count, _ in found)
    parts = [
        f"{value}{'' if name == str(value) else f' is {name}'} ({_percent(count, pixels)})"
        for value, count, name in found[:MOST_LISTED]
    ]
    more = len(found) - MOST_LISTED
    return f"masks: {', '.join(parts)}" + (f", and {more} more" if more > 0 else "")


def soft_edges(masks: Tally, two: tuple[int, int], names: tuple[str, str]) -> str:
    """Say that masks have soft edges, and which values are which of two classes."""
    low, high = two
    middle = (low + high) // 2
    least, most = min(masks.values), max(masks.values)
    soft = sum(bool(count_keys(count, masks.code)[0].keys() - set(two)) for count in masks.counts)
    between = masks.pixels - masks.values[low] - masks.values[high]
    return (
        f"masks: {soft} of {len(masks.counts)} have soft edges (resized, smoothed or JPEG), read as two classes: "
        f"{least} to {middle} is {names[0]}, {middle + 1} to {most} is {names[1]}; "
        f"{_percent(between, masks.pixels)} of the pixels are neither {low} nor {high}"
    )


def void_may_be_a_class(masks: Tally, names: Sequence[str]) -> str:
    """Warn that 255 is read as void without being declared, and say how to make it a class."""
    share = masks.values[VOID] / masks.pixels
    values = {index: value for value, index in masks.code.values.items() if value in masks.values and index != VOID}
    table: list[dict[str, object]] = [
        {"name": name, "value": values[index]} for index, name in enumerate(names) if index in values
    ]
    entries = (
        json.dumps([*table, {"name": "255", "value": 255}]) if len(table) < MOST_LISTED else "give it the value 255"
    )
    return (
        f"{masks.what}: 255 is read as void (no label), which is {share:.0%} of the pixels of the masks. If it is a "
        f"class, declare it in classes.json: {entries}"
    )


def two_kinds_of_white(masks: Tally) -> str | None:
    """Warn if some masks hold 0 and 1 and others 0 and 255, else return None."""
    kinds = Counter(frozenset(count_keys(count, masks.code)[0]) - {0} for count in masks.counts)
    ones, whites = kinds[frozenset({1})], kinds[frozenset({255})]
    if set(masks.values) != {0, 1, 255} or not ones or not whites or frozenset({1, 255}) in kinds:
        return None
    return (
        f"{masks.what}: {ones} masks hold 0 and 1, {whites} hold 0 and 255, and none holds all three: 255 is read as "
        "void (no label); if it means the same class as 1, save all masks alike"
    )


def colours_without_table(masks: Tally) -> str:
    """Say what to declare if masks have colours without declared classes."""
    first = next(count.path for count in masks.counts if count_keys(count, masks.code)[1])
    colours = masks.colours
    if len(colours) > 64:
        return (
            f"{first} is a colour mask; the masks hold {len(colours)} colours, too many for classes: if edges are "
            f"soft, {SAVE_UNSMOOTHED}, and give each class its colour in classes.json"
        )
    entries = [{"name": f"class {n}", "colour": list(c)} for n, (c, _) in enumerate(colours.most_common(), 1)]
    listed = json.dumps(entries[: 2 * MOST_LISTED]) + (" and so on" if len(entries) > 2 * MOST_LISTED else "")
    return (
        f"{first} is a colour mask, but the classes of the colours are not declared: write classes.json beside the "
        f"masks folder, with your own names for the {len(colours)} colours found, most frequent first: {listed}"
    )


def no_classes(masks: Tally, found: Levels | None) -> str:
    """Say why the values of masks without declared classes cannot be classes."""
    if found is not None and found.soft:
        along = sum(masks.values[value] for value in found.edges)
        advice = SAVE_UNSMOOTHED if 2 * along < masks.pixels else "are these photos instead of masks?"
        return (
            f"{masks.what}: the masks hold {len(masks.values)} values, of which {len(found.edges)} lie along edges "
            f"only ({_percent(along, masks.pixels)} of the pixels), as in {_first_with(masks, found.edges)}; "
            f"regions have {_some(found.regions) or 'none'}: {advice}"
        )
    return (
        f"{masks.what}: the masks hold {len(masks.values.keys() - {VOID})} values other than 255 (void), "
        f"{_some(sorted(masks.values))}; between 2 and 254 classes are needed: are these index masks? If they are "
        "colour images, declare the classes in classes.json"
    )


def no_class_of(
    masks: Tally, readings: Sequence[Mapping[int, int]], colours: Mapping[Colour, int], found: Levels | None
) -> str:
    """Name the values or colours of no declared class, and a file that has them.

    Args:
        masks: all masks.
        readings: the possible maps from values to classes.
        colours: pixels by colour of no class.
        found: levels of the masks, None if they are not known.
    """
    best = min(readings, key=lambda each: len(masks.values.keys() - each.keys()))
    unknown: dict[int | Colour, int] = {}
    unknown.update((value, n) for value, n in masks.values.items() if value not in best)
    kind, known = "value", list(map(str, sorted(best)))
    if not unknown:
        unknown.update(colours.items())
        kind, known = "colour", list(map(str, masks.code.colours))
    path, first, here = next(
        (count.path, each, pixels)
        for count in masks.counts
        for part in count_keys(count, masks.code)
        for each, pixels in part.items()
        if each in unknown
    )
    line = f"{path}: {kind} {first} ({here} pixels) is not a class of this data set; known are {_some(known)}"
    if len(unknown) == 1:
        return line
    share = _percent(sum(unknown.values()), masks.pixels)
    line = f"{line}. In all, {len(unknown)} {kind}s are no class ({share} of the pixels)"
    if len(unknown) < 4 and not (found is not None and found.soft):
        return f"{line}: {_some(sorted(unknown, key=str))}"
    return f"{line}: if they lie along edges, {SAVE_UNSMOOTHED}"


def _first_with(masks: Tally, values: Iterable[int]) -> Path:
    some = set(values)
    return next(count.path for count in masks.counts if some & count_keys(count, masks.code)[0].keys())


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.1f} %"


def _some(values: Iterable[object]) -> str:
    listed = [str(value) for value in values]
    return ", ".join(listed[:MOST_LISTED]) + (", ..." if len(listed) > MOST_LISTED else "")
