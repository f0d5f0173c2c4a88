"""Decide which class each value and colour of the masks means, for the data set as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UserError
from nas.tasks.data import mask_words as words
from nas.tasks.data.mask_counts import MaskCount, Tally, count_masks
from nas.tasks.data.mask_storage import storage_code
from nas.tasks.data.masks import LOSSY, MaskCode
from nas.tasks.data.palettes import Colour, distinct_colours
from nas.tasks.data.sets import VOID
from nas.tasks.data.soft_edges import FAR, Levels, find_levels

if TYPE_CHECKING:
    from nas.tasks.data.readers.class_table import ClassTable

__all__ = ["Level", "MaskMeaning", "understand_masks"]

LARGE_VOID = 0.2
"""Share of void pixels above which 255 may be an undeclared class."""


@dataclass(frozen=True)
class Level:
    """A value or RGB colour of the masks, its number of pixels, and the name of its class, "void" for no class."""

    value: int | Colour
    pixels: int
    class_name: str


@dataclass(frozen=True)
class MaskMeaning:
    """How the masks of a data set are read.

    Attributes:
        names: name of each class.
        colours: colour of each class in pictures.
        code: how to read a mask file.
        levels: all values and colours of the masks, the most frequent first.
        notes: sentences on how the masks were understood.
        warnings: sentences on what may be misunderstood, each with what to do.
        counts: count of each mask that can be read.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    code: MaskCode
    levels: tuple[Level, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    counts: tuple[MaskCount, ...] = field(default=(), repr=False)


def understand_masks(masks: Sequence[Path], table: ClassTable | None, what: str, progress: bool = False) -> MaskMeaning:
    """Decide how to read the masks of a data set.

    Args:
        masks: all mask files of the data set.
        table: the classes that the user declares; None if there is no declaration.
        what: name of the data set for messages, such as "folder:mine".
        progress: whether to show progress on standard error.

    Raises:
        UserError: the masks cannot be understood; the message says what they contain and what to do.
    """
    counts = count_masks(masks, what, progress)
    code = storage_code(counts, MaskCode({}) if table is None else table.code)
    found = Tally(counts, code, what, progress)
    lossy = next((count for count in counts if count.lossy), None)
    try:
        meaning = _without_table(found) if table is None else _with_table(found, table)
    except UserError:
        if lossy is not None:
            raise UserError(f"{lossy.path}: {LOSSY}") from None
        raise
    if lossy is not None and not meaning.code.lossy:
        raise UserError(f"{lossy.path}: {LOSSY}")
    return replace(meaning, counts=tuple(counts))


def _without_table(masks: Tally) -> MaskMeaning:
    """Each value is a class; two levels, with or without soft edges, are background and foreground."""
    if masks.colours:
        raise UserError(words.colours_without_table(masks))
    values, levels = set(masks.values), _levels(masks)
    two = (min(values), max(values)) if values in ({0, 255}, {0, 65535}) else levels and levels.two
    if two:
        return _two_level_meaning(masks, two, ("background", "foreground"), distinct_colours(2), (0, 1))
    found = sorted(values if len(values) == 2 else values - {VOID})
    if not 2 <= len(found) <= 254 or (levels is not None and levels.soft):
        raise UserError(words.no_classes(masks, levels))
    code = replace(masks.code, values={VOID: VOID} | {value: index for index, value in enumerate(found)})
    return _meaning(masks.under(_lossy_if_safe(code)), tuple(map(str, found)), distinct_colours(len(found)))


def _with_table(masks: Tally, table: ClassTable) -> MaskMeaning:
    """Classes of a table, by their colours, by their values, or in the order of the values that occur."""
    unknown = Counter({colour: n for colour, n in masks.colours.items() if colour not in table.code.colours})
    readings = _readings(masks, table)
    values = next((each for each in readings if masks.values.keys() <= each.keys()), None)
    if values is not None and not unknown:
        code = _lossy_if_safe(replace(masks.code, values=values))
        return _meaning(masks.under(code), table.names, table.colours, table.void_declared)
    levels = _levels(masks)
    if levels is not None and levels.two is not None and (classes := _two_classes(table)) is not None:
        return _two_level_meaning(masks, levels.two, table.names, table.colours, classes)
    if unknown and not table.code.colours:
        raise UserError(words.colours_without_table(masks))
    raise UserError(words.no_class_of(masks, readings, unknown, levels))


def _readings(masks: Tally, table: ClassTable) -> list[Mapping[int, int]]:
    """Possible maps from the values of greyscale masks to classes, the most likely first."""
    shades = {red: index for (red, green, blue), index in table.code.colours.items() if red == green == blue}
    by_value, by_shade = table.code.values, {VOID: VOID, **shades}
    if shades:
        return [by_value, by_shade] if table.numbered and not masks.colours else [by_shade, by_value]
    if table.numbered or table.code.colours:
        return [by_value]
    present = set(masks.values)
    in_order: list[Mapping[int, int]] = [
        {VOID: VOID, **dict(zip(sorted(found), table.in_order, strict=True))}
        for found in (present, present - {VOID})
        if len(found) == len(table.in_order)
    ]
    # Read by value, black and white masks would have one class and void.
    return [*in_order, by_value] if present == {0, VOID} else [by_value, *in_order]


def _levels(masks: Tally) -> Levels | None:
    """Levels of greyscale masks; None if their values are clearly class indices."""
    greys = masks.greys
    if greys is None or len(greys) <= 2 or max(greys) > 255:
        return None
    indices = greys.keys() - {VOID}
    if max(indices) <= min(2 * len(indices), 200):
        return None
    # Read grey colours as values.
    code = replace(masks.code, colours={})
    return find_levels([count.path for count in masks.counts], code, masks.what, masks.progress)


def _two_classes(table: ClassTable) -> tuple[int, int] | None:
    """Classes of the low and the high level, if a table has exactly two classes and no void."""
    if len(table.in_order) != 2 or VOID in table.in_order:
        return None
    shades = {index: colour[0] for colour, index in table.code.colours.items() if len(set(colour)) == 1}
    given = {index: value for value, index in table.code.values.items() if index != VOID}
    of = shades if table.code.colours else given
    low, *high = sorted((index for index in of if index != VOID), key=lambda index: of[index])
    return (low, high[0]) if len(high) == 1 else None


def _two_level_meaning(
    masks: Tally,
    levels: tuple[int, int],
    names: tuple[str, ...],
    colours: tuple[Colour, ...],
    classes: tuple[int, int],
) -> MaskMeaning:
    """Two classes, separated at the middle between their levels if there are values in between."""
    low, high = levels
    values = {low: classes[0], high: classes[1]}
    greys = masks.greys or Counter()
    if greys.keys() <= set(levels):
        return _meaning(masks.under(_lossy_if_safe(replace(masks.code, values=values))), names, colours)
    values |= {value: classes[value > (low + high) // 2] for value in range(256)}
    code = replace(masks.code, colours={}, values=values, lossy=True)
    note = words.soft_edges(masks.under(code), levels, (names[classes[0]], names[classes[1]]))
    return _meaning(masks.under(code), names, colours, note=note)


def _lossy_if_safe(code: MaskCode) -> MaskCode:
    """Allow compression with loss if the code has two values so far apart that it cannot turn one into the other."""
    values = code.values.keys()
    far = len(values) == 2 and max(values) - min(values) >= FAR and VOID not in code.values.values()
    return replace(code, lossy=far and not code.colours)


def _meaning(
    masks: Tally,
    names: tuple[str, ...],
    colours: tuple[Colour, ...],
    void_declared: bool = False,
    note: str | None = None,
) -> MaskMeaning:
    """The meaning of masks under their code, with notes and warnings."""
    code = masks.code

    def class_name(index: int) -> str:
        return "void" if index == VOID else names[index]

    levels = [
        *(Level(value, pixels, class_name(code.values[value])) for value, pixels in masks.values.items()),
        *(Level(colour, pixels, class_name(code.colours[colour])) for colour, pixels in masks.colours.items()),
    ]
    levels.sort(key=lambda level: -level.pixels)
    notes = [note or words.levels([(level.value, level.pixels, level.class_name) for level in levels])]
    if code.alpha:
        notes.append("masks: read by their opacity, since all pixels have the same colour")
    warnings = []
    void = masks.values[VOID] if code.values.get(VOID) == VOID and not void_declared else 0
    if void > LARGE_VOID * masks.pixels or (void and len({level.class_name for level in levels}) == 2):
        warnings.append(words.void_may_be_a_class(masks, names))
    elif void and (mixed := words.two_kinds_of_white(masks)) is not None:
        warnings.append(mixed)
    return MaskMeaning(names, colours, code, tuple(levels), tuple(notes), tuple(warnings))
