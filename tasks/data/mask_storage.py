"""Find out how mask files store classes: by values, colours, palettes, shades of few bits, or opacity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nas.tasks.data.mask_counts import MaskCount
from nas.tasks.data.masks import MaskCode
from nas.tasks.data.palettes import Colour

__all__ = ["storage_code"]


def storage_code(counts: Sequence[MaskCount], declared: MaskCode) -> MaskCode:
    """Return a code that says how to read the files; it has the declared colours, but no values yet.

    Args:
        counts: counts of all masks of the data set.
        declared: values and colours that the user declares, possibly none.
    """
    code = MaskCode({}, declared.colours)
    if _only_alpha(counts):
        return MaskCode({}, alpha=True)
    palettes = [count for count in counts if count.palette is not None]
    shown = _few_bits_shown(counts, code.colours)
    if not code.colours:
        return replace(code, shown=shown or _palettes_differ(palettes))
    used = {colour for count in palettes for colour in (count.palette or {}).values()}
    indices = {index for count in palettes for index in count.values}
    return replace(code, shown=shown, by_index=not used <= set(code.colours) and indices <= set(declared.values))


def _only_alpha(counts: Sequence[MaskCount]) -> bool:
    """Whether all pixels of all masks have the same colour and differ only in opacity."""
    if not counts or any(count.alpha is None for count in counts):
        return False
    stored = {each for count in counts for each in (*count.values, *count.colours)}
    return len(stored) == 1 and len({opacity for count in counts for opacity in count.alpha or {}}) > 1


def _palettes_differ(palettes: Sequence[MaskCount]) -> bool:
    """Whether an index has different colours in two masks, so that indices cannot mean classes."""
    seen: dict[int, Colour] = {}
    return any(
        seen.setdefault(index, colour) != colour
        for count in palettes
        for index, colour in (count.palette or {}).items()
    )


def _few_bits_shown(counts: Sequence[MaskCount], colours: Mapping[Colour, int]) -> bool:
    """Whether masks of few bits and of grey palettes, which some tools write to save space, are read by shown shades.

    They are if the shades they show, but not the values they store, occur in the other masks or in the table.
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
