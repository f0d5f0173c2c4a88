"""What the masks of a set hold: values, colours and opacity, counted file by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from nas.tasks.data.decoding import BrokenImageError
from nas.tasks.data.masks import MaskCode, StoredMask, read_stored
from nas.tasks.data.palettes import Colour
from nas.tasks.data.parallel import progress_bar, threaded

__all__ = ["MaskCount", "Tally", "class_pixels", "count_masks", "count_stored", "naming", "tally"]

MOST_COLOURS = 4096
"""Colours that are counted of one mask; one of more is a photo, or was compressed with loss."""


@dataclass(frozen=True)
class MaskCount:
    """The pixels of one mask file by what they store.

    Attributes:
        path: the file.
        values: stored values of one channel, of a palette mask its indices.
        colours: RGB colours of a mask of several channels.
        step: what the values of grey masks of 1, 2 or 4 bits are multiplied by when shown.
        palette: the colours of the indices that a palette mask uses; None of other masks.
        alpha: opacities; None of a mask without.
        lossy: whether the file is compressed with loss.
        size: height and width.
    """

    path: Path
    values: Mapping[int, int]
    colours: Mapping[Colour, int]
    step: int = 1
    palette: Mapping[int, Colour] | None = None
    alpha: Mapping[int, int] | None = None
    lossy: bool = False
    size: tuple[int, int] = (0, 0)


def count_masks(masks: Sequence[Path], what: str, progress: bool) -> list[MaskCount]:
    """Count every mask; those that cannot be read are left out, and named when they are needed.

    Raises:
        UserError: none can be read, or one holds numbers that are no values.
    """
    with progress_bar(len(masks), f"{what} masks", progress) as bar:
        found = [count for count in threaded(_count_file, masks, bar) if count is not None]
    if not found and masks:
        read_stored(masks[0])  # says what is wrong with it
    return found


def _count_file(path: Path) -> MaskCount | None:
    try:
        return count_stored(path, read_stored(path))
    except BrokenImageError:
        return None


def count_stored(path: Path, stored: StoredMask) -> MaskCount:
    """The pixels of one mask that has been read."""
    colours: Mapping[Colour, int] = {}
    values: Mapping[int, int] = {}
    if stored.pixels.ndim == 3:
        colours = _colours(stored)
    else:
        values = _values(stored.pixels)
    palette = None
    if stored.palette is not None:
        palette = {index: _colour(stored.palette[index]) for index in values}
    alpha = None if stored.alpha is None else _values(stored.alpha)
    size = (stored.pixels.shape[0], stored.pixels.shape[1])
    return MaskCount(path, values, colours, stored.step, palette, alpha, stored.lossy, size)


def _values(pixels: np.ndarray) -> dict[int, int]:
    counts = np.bincount(pixels.ravel())
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}


def _colours(stored: StoredMask) -> dict[Colour, int]:
    from PIL import Image

    found = Image.fromarray(stored.pixels).getcolors(MOST_COLOURS)
    if found is None:
        # Only how many there are matters then, not which.
        row = stored.pixels.reshape(-1, 3)[: 4 * MOST_COLOURS]
        found = [(1, tuple(colour)) for colour in row]
    counts: Counter[Colour] = Counter()
    for count, colour in found:
        assert isinstance(colour, tuple)
        counts[_colour(colour)] += count
    return dict(counts)


def _colour(raw: Sequence[int] | np.ndarray) -> Colour:
    return int(raw[0]), int(raw[1]), int(raw[2])


def class_pixels(count: MaskCount, code: MaskCode) -> np.ndarray:
    """Pixels of each of 256 class indices in a mask, 255 for void; what means no class is not counted."""
    values, colours = naming(count, code)
    named = [(code.values.get(value), n) for value, n in values.items()]
    named += [(code.colours.get(colour), n) for colour, n in colours.items()]
    pixels = np.zeros(256, np.int64)
    for index, n in named:
        if index is not None:
            pixels[index] += n
    return pixels


def naming(count: MaskCount, code: MaskCode) -> tuple[Mapping[int, int], Mapping[Colour, int]]:
    """The values and the colours of one mask that name classes under a code, as `StoredMask.naming` reads them."""
    if code.alpha and count.alpha is not None:
        return count.alpha, {}
    values, colours = count.values, dict(count.colours)
    if count.palette is not None and not code.by_index and (code.colours or code.shown):
        values, shown = {}, Counter[Colour]()
        for index, pixels in count.values.items():
            shown[count.palette[index]] += pixels
        colours = dict(shown)
    elif code.shown:
        values = {value * count.step: pixels for value, pixels in values.items()}
    if colours and not code.colours and all(len(set(colour)) == 1 for colour in colours):
        values, colours = {colour[0]: pixels for colour, pixels in colours.items()}, {}
    return values, colours


@dataclass(frozen=True)
class Tally:
    """The masks of a set together, under one code.

    Attributes:
        counts: of every mask that can be read.
        code: how the files store what names the classes; its values may still be missing.
        what: the set, for messages, such as "folder:mine".
        progress: whether to show a bar where files are read again.
    """

    counts: Sequence[MaskCount]
    code: MaskCode
    what: str = ""
    progress: bool = False

    @cached_property
    def values(self) -> Counter[int]:
        """Pixels of all masks by the value that names their class."""
        found: Counter[int] = Counter()
        for count in self.counts:
            found.update(naming(count, self.code)[0])
        return found

    @cached_property
    def colours(self) -> Counter[Colour]:
        """Pixels of all masks by the colour that names their class."""
        found: Counter[Colour] = Counter()
        for count in self.counts:
            found.update(naming(count, self.code)[1])
        return found

    @property
    def greys(self) -> Counter[int] | None:
        """The same as `values` with colours that are shades of grey counted too; None where some are not."""
        if any(not red == green == blue for red, green, blue in self.colours):
            return None
        shades: Counter[int] = Counter()
        for (red, _, _), pixels in self.colours.items():
            shades[red] += pixels
        return self.values + shades

    @property
    def pixels(self) -> int:
        """How many pixels were counted."""
        return self.values.total() + self.colours.total()

    def under(self, code: MaskCode) -> Tally:
        """The same masks under another code."""
        return replace(self, code=code)


def tally(counts: Sequence[MaskCount], code: MaskCode) -> Tally:
    """All masks together, under a code."""
    return Tally(counts, code)
