"""What the values and colours of a set's masks mean, decided for the set and not file by file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UserError
from tasks.data.mask_counts import MaskCount, Tally, count_masks, naming, tally
from tasks.data.masks import LOSSY, MaskCode
from tasks.data.palettes import Colour, distinct_colours
from tasks.data.sets import VOID
from tasks.data.soft_edges import Levels, find_levels

if TYPE_CHECKING:
    from tasks.data.readers.class_table import ClassTable

__all__ = ["Level", "MaskMeaning", "understand_masks"]

LARGE_VOID = 0.2
"""The share of void pixels from which on 255 may well be a class that nobody declared."""

LISTED = 12
"""Values or colours that a sentence lists."""

SMOOTHED = "save the masks again without smoothing (nearest neighbour, no anti-aliasing, no JPEG)"


@dataclass(frozen=True)
class Level:
    """A value or an RGB colour of the masks, its pixels in all of them, and the class it names ("void" for none)."""

    value: int | Colour
    pixels: int
    becomes: str


@dataclass(frozen=True)
class MaskMeaning:
    """How the masks of a set are read.

    Attributes:
        names: one a class.
        colours: one a class, for pictures.
        code: reads a mask file.
        levels: every value and colour of the masks, the most frequent first.
        notes: sentences on how the masks were understood.
        warnings: sentences on what may be misunderstood, each with the mend.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    code: MaskCode
    levels: tuple[Level, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def understand_masks(masks: Sequence[Path], table: ClassTable | None, what: str, progress: bool = False) -> MaskMeaning:
    """Decide what the masks of a set mean.

    Args:
        masks: all mask files of the set.
        table: the classes as the user declares them; None where nobody does.
        what: the set, for messages, such as "folder:mine".
        progress: whether to show a bar.

    Raises:
        UserError: the masks cannot be understood; the message says what they hold and what to do.
    """
    counts = count_masks(masks, what, progress)
    lossy = next((count for count in counts if count.lossy), None)
    try:
        meaning = _Reading(counts, table, what, progress).meaning()
    except UserError:
        if lossy is not None:
            raise UserError(f"{lossy.path}: {LOSSY}") from None
        raise
    if lossy is not None and not meaning.code.lossy:
        raise UserError(f"{lossy.path}: {LOSSY}")
    return meaning


class _Reading:
    """The masks of a set while their meaning is decided."""

    def __init__(self, counts: Sequence[MaskCount], table: ClassTable | None, what: str, progress: bool) -> None:
        self.counts = counts
        self.table = table
        self.what = what
        self.progress = progress
        self.code = _storage(counts, table)
        self.tally = tally(counts, self.code)

    def meaning(self) -> MaskMeaning:
        return self._unnamed() if self.table is None else self._named(self.table)

    def _unnamed(self) -> MaskMeaning:
        """Classes as the values that occur; two levels, soft or not, are background and foreground."""
        if self.tally.colours:
            raise UserError(self._colours_without_table())
        values = self.tally.values
        if set(values) in ({0, 255}, {0, 65535}):
            return self._two((0, max(values)), ("background", "foreground"), distinct_colours(2), self.code)
        levels = self._levels()
        if levels is not None and levels.two is not None:
            code = replace(self.code, lossy=True)
            return self._two(levels.two, ("background", "foreground"), distinct_colours(2), code)
        found = sorted(values) if len(values) == 2 else sorted(set(values) - {VOID})
        if not 2 <= len(found) <= 254 or (levels is not None and levels.soft):
            raise UserError(self._no_classes(levels))
        code = replace(self.code, values={VOID: VOID} | {value: index for index, value in enumerate(found)})
        names = tuple(map(str, found))
        return self._done(names, distinct_colours(len(found)), code, undeclared_void=True)

    def _named(self, table: ClassTable) -> MaskMeaning:
        """Classes of a table: by their colours, by their values, or in the order of the values that occur."""
        strange = Counter({c: n for c, n in self.tally.colours.items() if c not in table.code.colours})
        present = set(self.tally.values)
        values = next((each for each in self._readings(table) if present <= set(each)), None)
        if values is not None and not strange:
            return self._done(table.names, table.colours, replace(self.code, values=values), not table.void_declared)
        levels = self._levels()
        two = None if levels is None or levels.two is None else _two_classes(table, levels.two)
        if levels is not None and levels.two is not None and two is not None:
            code = replace(self.code, colours={}, lossy=True)
            return self._two(levels.two, table.names, table.colours, code, two)
        if strange and not table.code.colours:
            raise UserError(self._colours_without_table())
        raise UserError(self._no_class_of(table, strange, levels))

    def _readings(self, table: ClassTable) -> list[Mapping[int, int]]:
        """From the values of grey masks to classes, the likeliest way first."""
        shades = {red: index for (red, green, blue), index in table.code.colours.items() if red == green == blue}
        # The masks may say 255 for void where no class is white.
        by_shade = {VOID: VOID, **shades}
        readings = [table.code.values]
        if shades:
            readings.insert(1 if table.numbered and not self.tally.colours else 0, by_shade)
        if not table.numbered and not table.code.colours:
            present = set(self.tally.values)
            in_order = [
                {VOID: VOID, **dict(zip(sorted(found), table.in_order, strict=True))}
                for found in (present, present - {VOID})
                if len(found) == len(table.in_order)
            ]
            # By value, black and white masks would have one class and void.
            return [*in_order, *readings] if present == {0, VOID} else [*readings, *in_order]
        return readings

    def _levels(self) -> Levels | None:
        """The levels of grey masks whose values are not those of plain indices."""
        colours = self.tally.colours
        grey = all(red == green == blue for red, green, blue in colours)
        values = {*self.tally.values, *(red for red, _, _ in colours)}
        indices = values - {VOID}
        if not grey or len(values) <= 2 or max(values) > 255 or max(indices) <= min(2 * len(indices), 200):
            return None
        # Colours that are all grey are looked at as values.
        return find_levels(
            [count.path for count in self.counts], replace(self.code, colours={}), self.what, self.progress
        )

    def _two(
        self,
        levels: tuple[int, int],
        names: tuple[str, ...],
        colours: tuple[Colour, ...],
        code: MaskCode,
        classes: tuple[int, int] = (0, 1),
    ) -> MaskMeaning:
        """Two classes, parted at the middle between two values."""
        low, high = levels
        middle = (low + high) // 2
        values = {value: classes[value > middle] for value in range(256)} if code.lossy else {}
        code = replace(code, values={**values, low: classes[0], high: classes[1]})
        if not code.lossy:
            return self._done(names, colours, code)
        soft = sum(not set(_values(count, self.code)) <= {low, high} for count in self.counts)
        between = sum(pixels for value, pixels in _all_values(self.tally) if value not in levels)
        note = (
            f"masks: {soft} of {len(self.counts)} have soft edges (resized, smoothed or JPEG), read as two classes: "
            f"{low} to {middle} is {names[classes[0]]}, {middle + 1} to {high} is {names[classes[1]]}; "
            f"{_percent(between, self.tally.pixels)} of the pixels are neither {low} nor {high}"
        )
        return self._done(names, colours, code, soft=note)

    def _done(
        self,
        names: tuple[str, ...],
        colours: tuple[Colour, ...],
        code: MaskCode,
        undeclared_void: bool = False,
        soft: str | None = None,
    ) -> MaskMeaning:
        """The meaning, with every value's pixels and class."""
        self.code = code
        found = self.tally = tally(self.counts, code)

        def becomes(index: int) -> str:
            return "void" if index == VOID else names[index]

        levels = [Level(value, pixels, becomes(code.values[value])) for value, pixels in found.values.items()]
        levels += [Level(colour, pixels, becomes(code.colours[colour])) for colour, pixels in found.colours.items()]
        levels.sort(key=lambda level: -level.pixels)
        notes = [soft or f"masks: {_listed(levels, found.pixels)}"]
        if code.alpha:
            notes.append("masks: of one colour throughout, so their opacity is read")
        warnings = []
        share = found.values[VOID] / max(1, found.pixels)
        if undeclared_void and code.values.get(VOID) == VOID and share > LARGE_VOID:
            warnings.append(self._void_may_be_a_class(names, share))
        return MaskMeaning(names, colours, code, tuple(levels), tuple(notes), tuple(warnings))

    def _void_may_be_a_class(self, names: tuple[str, ...], share: float) -> str:
        classes = {index: value for value, index in self.code.values.items() if index != VOID}
        table: list[dict[str, object]] = [
            {"name": name, "value": classes[index]} for index, name in enumerate(names) if index in classes
        ]
        mend = json.dumps([*table, {"name": "255", "value": 255}]) if len(table) < LISTED else "..."
        return (
            f"{self.what}: 255 is read as void (no label), which is {share:.0%} of the pixels of the masks. If it is a "
            f"class, say so in classes.json: {mend}"
        )

    def _colours_without_table(self) -> str:
        """What to write where masks hold colours and nobody says which is which class."""
        first = next(count.path for count in self.counts if naming(count, self.code)[1])
        colours = self.tally.colours
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

    def _no_classes(self, levels: Levels | None) -> str:
        """Why values are no classes."""
        values = self.tally.values
        if levels is not None and levels.soft:
            along = sum(values[value] for value in levels.edges)
            return (
                f"{self.what}: the masks hold {len(values)} values, of which {len(levels.edges)} lie along edges "
                f"only ({_percent(along, self.tally.pixels)} of the pixels), as in {self._first_with(levels.edges)}; "
                f"regions have {_some(levels.regions)}: {SMOOTHED}"
            )
        found = len(set(values) - {VOID})
        return (
            f"{self.what}: the masks hold {found} values other than 255 (void), {_some(sorted(values))}; between 2 and "
            "254 classes are needed: are they index masks? If they are colour images, write classes.json"
        )

    def _no_class_of(self, table: ClassTable, strange: Counter[Colour], levels: Levels | None) -> str:
        """Which values or colours of which file are no class of the table."""
        best = min(self._readings(table), key=lambda each: sum(value not in each for value in self.tally.values))
        unknown = _both(*((value, n) for value, n in self.tally.values.items() if value not in best))
        kind, known = "value", list(map(str, sorted(best)))
        if not unknown:
            kind, unknown, known = "colour", _both(*strange.items()), list(map(str, table.code.colours))
        path, first, here = next(
            (count.path, each, pixels)
            for count in self.counts
            for each, pixels in _named_by(count, self.code).items()
            if each in unknown
        )
        line = f"{path}: {kind} {first} ({here} pixels) is no class of this set; known are {_some(known)}"
        if len(unknown) == 1:
            return line
        share = _percent(sum(unknown.values()), self.tally.pixels)
        line = f"{line}. In all, {len(unknown)} {kind}s are none ({share} of the pixels)"
        if len(unknown) < 4 and not (levels is not None and levels.soft):
            return f"{line}: {_some(sorted(unknown, key=str))}"
        return f"{line}: if they lie along edges, {SMOOTHED}"

    def _first_with(self, values: Sequence[int]) -> Path:
        some = set(values)
        return next(count.path for count in self.counts if some & set(naming(count, self.code)[0]))


def _storage(counts: Sequence[MaskCount], table: ClassTable | None) -> MaskCode:
    """How the files store what names the classes: opacity, the indices of palettes or the shades they show."""
    declared = MaskCode({}) if table is None else table.code
    colours = declared.colours
    code = MaskCode({}, colours)
    if _only_alpha(counts):
        return replace(code, colours={}, alpha=True)
    palettes = [count for count in counts if count.palette is not None]
    if colours and palettes:
        used = {colour for count in palettes for colour in (count.palette or {}).values()}
        indices = {index for count in palettes for index in count.values}
        by_index = not used <= set(colours) and indices <= set(declared.values)
        return replace(code, by_index=by_index, shown=_few_bits_shown(counts, colours))
    if colours:
        return replace(code, shown=_few_bits_shown(counts, colours))
    return replace(code, shown=_palettes_differ(palettes) or _few_bits_shown(counts, {}))


def _only_alpha(counts: Sequence[MaskCount]) -> bool:
    """Whether all masks are of one and the same colour, and differ in their opacity."""
    if not counts or any(count.alpha is None for count in counts):
        return False
    stored = {each for count in counts for each in (*count.values, *count.colours)}
    return len(stored) == 1 and len({opacity for count in counts for opacity in count.alpha or {}}) > 1


def _palettes_differ(palettes: Sequence[MaskCount]) -> bool:
    """Whether one index has two colours, so that it is not the indices that name classes."""
    seen: dict[int, Colour] = {}
    return any(
        seen.setdefault(index, colour) != colour
        for count in palettes
        for index, colour in (count.palette or {}).items()
    )


def _few_bits_shown(counts: Sequence[MaskCount], colours: Mapping[Colour, int]) -> bool:
    """Whether masks of few bits and of grey palettes, as tools make that save bytes, name classes by what they show.

    So it is where the other masks of the set, or the colours of the table, hold what they show but not what they store.
    """
    few = [count for count in counts if count.step > 1 or count.palette is not None]
    others = [count for count in counts if count.step == 1 and count.palette is None]
    full = {value for count in others for value in count.values} | {
        colour[0] for count in others for colour in count.colours if len(set(colour)) == 1
    }
    full |= {colour[0] for colour in colours if len(set(colour)) == 1}
    stored = {value for count in few for value in count.values}
    shown = set()
    for count in few:
        for value in count.values:
            colour = (value * count.step,) * 3 if count.palette is None else count.palette[value]
            shown.add(colour[0] if len(set(colour)) == 1 else -1)
    return bool(full) and shown <= full | {0} and not stored <= full | {0}


def _two_classes(table: ClassTable, levels: tuple[int, int]) -> tuple[int, int] | None:
    """The classes of the low and of the high level, where a table has two and says nothing against it."""
    order = table.in_order
    if len(table.names) != 2 or len(order) != 2 or VOID in order:
        return None
    shades = {index: c[0] for c, index in table.code.colours.items() if len(set(c)) == 1 and index != VOID}
    given = {index: value for value, index in table.code.values.items() if index != VOID}
    of = shades if len(shades) == 2 else given if table.numbered else {order[0]: 0, order[1]: 1}
    if table.code.colours and len(shades) != 2:
        return None
    low, high = sorted(of, key=lambda index: of[index])
    return low, high


def _both(*pairs: tuple[int | Colour, int]) -> dict[int | Colour, int]:
    return dict(pairs)


def _named_by(count: MaskCount, code: MaskCode) -> dict[int | Colour, int]:
    values, colours = naming(count, code)
    return _both(*values.items(), *colours.items())


def _values(count: MaskCount, code: MaskCode) -> list[int]:
    values, colours = naming(count, code)
    return [*values, *(red for red, _, _ in colours)]


def _all_values(found: Tally) -> list[tuple[int, int]]:
    return [*found.values.items(), *((colour[0], pixels) for colour, pixels in found.colours.items())]


def _listed(levels: Sequence[Level], pixels: int) -> str:
    parts = []
    for level in levels[:LISTED]:
        name = "" if level.becomes == str(level.value) else f" is {level.becomes}"
        parts.append(f"{level.value}{name} ({_percent(level.pixels, pixels)})")
    more = len(levels) - LISTED
    return ", ".join(parts) + (f", and {more} more" if more > 0 else "")


def _percent(part: int, whole: int) -> str:
    return f"{part / max(1, whole):.1%}".replace("%", " %")


def _some(values: Iterable[object]) -> str:
    listed = [str(value) for value in values]
    return ", ".join(listed[:LISTED]) + (", ..." if len(listed) > LISTED else "")
