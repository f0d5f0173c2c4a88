"""Count the values, colours and opacities of the masks of a data set, file by file."""

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

__all__ = ["MaskCount", "Tally", "class_pixels", "count_keys", "count_masks", "count_stored"]

MOST_COLOURS = 4096
"""Largest number of colours that are counted in a mask; with more, it is a photo or was compressed with loss."""


@dataclass(frozen=True)
class MaskCount:
    """Number of pixels of a mask file by value, colour and opacity.

    Attributes:
        path: the file.
        values: pixels by stored value, for a palette mask by index.
        colours: pixels by RGB colour, for a mask of several channels.
        step: factor from stored to shown values, see `StoredMask`.
        palette: colour of each index that a palette mask uses; None for other masks.
        alpha: pixels by opacity; None without an alpha channel.
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
    """Count the pixels of every mask that can be read.

    Args:
        masks: the mask files.
        what: name of the data set, for the progress bar.
        progress: whether to show progress on standard error.

    Raises:
        UserError: no mask can be read, or one has values other than the integers 0 to 65535.
    """
    with progress_bar(len(masks), f"{what} masks", progress) as bar:
        found = [count for count in threaded(_count_file, masks, bar) if count is not None]
    if not found and masks:
        read_stored(masks[0])  # raises the error that names what is wrong
    return found


def _count_file(path: Path) -> MaskCount | None:
    try:
        return count_stored(path, read_stored(path))
    except BrokenImageError:
        return None


def count_stored(path: Path, stored: StoredMask) -> MaskCount:
    """Count the pixels of a mask that has been read."""
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
        # It only matters then that there are many.
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
    """Return the number of pixels of each of 256 class indices, 255 for void, without values of no class."""
    values, colours = count_keys(count, code)
    named = [(code.values.get(value), n) for value, n in values.items()]
    named += [(code.colours.get(colour), n) for colour, n in colours.items()]
    pixels = np.zeros(256, np.int64)
    for index, n in named:
        if index is not None:
            pixels[index] += n
    return pixels


def count_keys(count: MaskCount, code: MaskCode) -> tuple[Mapping[int, int], Mapping[Colour, int]]:
    """Return the pixels by value and by colour that a code maps to classes, see `StoredMask.keys`."""
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
    """All masks of a data set, read by one code.

    Attributes:
        counts: count of every mask that can be read.
        code: how the files are read; its values may still be missing.
        what: name of the data set for messages, such as "folder:mine".
        progress: whether to show progress if files are read again.
    """

    counts: Sequence[MaskCount]
    code: MaskCode
    what: str = ""
    progress: bool = False

    @cached_property
    def values(self) -> Counter[int]:
        """Pixels of all masks by value."""
        found: Counter[int] = Counter()
        for count in self.counts:
            found.update(count_keys(count, self.code)[0])
        return found

    @cached_property
    def colours(self) -> Counter[Colour]:
        """Pixels of all masks by colour."""
        found: Counter[Colour] = Counter()
        for count in self.counts:
            found.update(count_keys(count, self.code)[1])
        return found

    @property
    def greys(self) -> Counter[int] | None:
        """Pixels of all masks by value, with grey colours as values; None if there is a colour that is not grey."""
        if any(not red == green == blue for red, green, blue in self.colours):
            return None
        shades: Counter[int] = Counter()
        for (red, _, _), pixels in self.colours.items():
            shades[red] += pixels
        return self.values + shades

    @property
    def pixels(self) -> int:
        """Number of pixels of all masks."""
        return self.values.total() + self.colours.total()

    def under(self, code: MaskCode) -> Tally:
        """Return the same masks, read by another code."""
        return replace(self, code=code)
