"""What is said of a set's masks: how they were understood, what may be wrong with them, and what to do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nas.tasks.data.mask_counts import Tally, naming
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

LISTED = 12
"""Values or colours that a sentence lists."""

SMOOTHED = "save the masks again without smoothing (nearest neighbour, no anti-aliasing, no JPEG)"


def levels(found: Sequence[tuple[int | Colour, int, str]]) -> str:
    """Each value or colour with its class and its share of the pixels."""
    pixels = sum(count for _, count, _ in found)
    parts = [
        f"{value}{'' if name == str(value) else f' is {name}'} ({_percent(count, pixels)})"
        for value, count, name in found[:LISTED]
    ]
    more = len(found) - LISTED
    return f"masks: {', '.join(parts)}" + (f", and {more} more" if more > 0 else "")


def soft_edges(masks: Tally, two: tuple[int, int], names: tuple[str, str]) -> str:
    """That masks have soft edges, and which values became which of two classes."""
    low, high = two
    middle = (low + high) // 2
    least, most = min(masks.values), max(masks.values)
    soft = sum(bool(naming(count, masks.code)[0].keys() - set(two)) for count in masks.counts)
    between = masks.pixels - masks.values[low] - masks.values[high]
    return (
        f"masks: {soft} of {len(masks.counts)} have soft edges (resized, smoothed or JPEG), read as two classes: "
        f"{least} to {middle} is {names[0]}, {middle + 1} to {most} is {names[1]}; "
        f"{_percent(between, masks.pixels)} of the pixels are neither {low} nor {high}"
    )


def void_may_be_a_class(masks: Tally, names: Sequence[str]) -> str:
    """That 255 is taken for void without anybody saying so, and how to say otherwise."""
    share = masks.values[VOID] / masks.pixels
    values = {index: value for value, index in masks.code.values.items() if value in masks.values and index != VOID}
    table: list[dict[str, object]] = [
        {"name": name, "value": values[index]} for index, name in enumerate(names) if index in values
    ]
    mend = json.dumps([*table, {"name": "255", "value": 255}]) if len(table) < LISTED else "give it the value 255"
    return (
        f"{masks.what}: 255 is read as void (no label), which is {share:.0%} of the pixels of the masks. If it is a "
        f"class, say so in classes.json: {mend}"
    )


def two_kinds_of_white(masks: Tally) -> str | None:
    """That some masks hold 0 and 1 and others 0 and 255, where that is so."""
    kinds = Counter(frozenset(naming(count, masks.code)[0]) - {0} for count in masks.counts)
    ones, whites = kinds[frozenset({1})], kinds[frozenset({255})]
    if set(masks.values) != {0, 1, 255} or not ones or not whites or frozenset({1, 255}) in kinds:
        return None
    return (
        f"{masks.what}: {ones} masks hold 0 and 1, {whites} hold 0 and 255, and none holds all three: 255 is read as "
        "void (no label); if it is the class of 1, save all masks alike"
    )


def colours_without_table(masks: Tally) -> str:
    """What to write where masks hold colours and nothing says which is which class."""
    first = next(count.path for count in masks.counts if naming(count, masks.code)[1])
    colours = masks.colours
    if len(colours) > 64:
        return (
            f"{first} is a colour mask; the masks hold {len(colours)} colours, too many for classes: if edges are "
            f"soft, {SMOOTHED}, and give each class its colour in classes.json"
        )
    entries = [{"name": f"class {n}", "colour": list(c)} for n, (c, _) in enumerate(colours.most_common(), 1)]
    listed = json.dumps(entries[: 2 * LISTED]) + (" and so on" if len(entries) > 2 * LISTED else "")
    return (
        f"{first} is a colour mask and nothing says which colour is which class: write classes.json beside the "
        f"masks folder, with names of your own for the {len(colours)} colours found, most frequent first: {listed}"
    )


def no_classes(masks: Tally, found: Levels | None) -> str:
    """Why the values of masks without a table are no classes."""
    if found is not None and found.soft:
        along = sum(masks.values[value] for value in found.edges)
        mend = SMOOTHED if 2 * along < masks.pixels else "are these photos in the place of masks?"
        return (
            f"{masks.what}: the masks hold {len(masks.values)} values, of which {len(found.edges)} lie along edges "
            f"only ({_percent(along, masks.pixels)} of the pixels), as in {_first_with(masks, found.edges)}; "
            f"regions have {_some(found.regions) or 'none'}: {mend}"
        )
    return (
        f"{masks.what}: the masks hold {len(masks.values.keys() - {VOID})} values other than 255 (void), "
        f"{_some(sorted(masks.values))}; between 2 and 254 classes are needed: are they index masks? If they are "
        "colour images, write classes.json"
    )


def no_class_of(
    masks: Tally, readings: Sequence[Mapping[int, int]], strange: Mapping[Colour, int], found: Levels | None
) -> str:
    """Which values, or colours, of which file are no class of the table."""
    best = min(readings, key=lambda each: len(masks.values.keys() - each.keys()))
    unknown: dict[int | Colour, int] = {}
    unknown.update((value, n) for value, n in masks.values.items() if value not in best)
    kind, known = "value", list(map(str, sorted(best)))
    if not unknown:
        unknown.update(strange.items())
        kind, known = "colour", list(map(str, masks.code.colours))
    path, first, here = next(
        (count.path, each, pixels)
        for count in masks.counts
        for part in naming(count, masks.code)
        for each, pixels in part.items()
        if each in unknown
    )
    line = f"{path}: {kind} {first} ({here} pixels) is no class of this set; known are {_some(known)}"
    if len(unknown) == 1:
        return line
    share = _percent(sum(unknown.values()), masks.pixels)
    line = f"{line}. In all, {len(unknown)} {kind}s are none ({share} of the pixels)"
    if len(unknown) < 4 and not (found is not None and found.soft):
        return f"{line}: {_some(sorted(unknown, key=str))}"
    return f"{line}: if they lie along edges, {SMOOTHED}"


def _first_with(masks: Tally, values: Iterable[int]) -> Path:
    some = set(values)
    return next(count.path for count in masks.counts if some & naming(count, masks.code)[0].keys())


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.1f} %"


def _some(values: Iterable[object]) -> str:
    listed = [str(value) for value in values]
    return ", ".join(listed[:LISTED]) + (", ..." if len(listed) > LISTED else "")
