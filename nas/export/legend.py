"""Legends of class names and colours, as a separate picture or in a corner of another one."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["legend", "with_legend"]

Colours = Sequence[tuple[int, int, int]]

TEXT = 16
"""Letter height of a separate legend, in pixels."""

SMALLEST, LARGEST = 9, 40
"""Smallest and largest letter height of a legend in a picture, in pixels."""

MAX_SHARE = 0.3
"""Largest share of a picture that its legend may cover. A picture too small for that has no legend."""

MIN_CLASSES = 3
"""Fewest classes that a legend may show, if there are so many. A picture too small for that has no legend."""

FALLBACKS = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc", "msgothic.ttc")
"""Fonts of many scripts, used if the system has them and a name needs them."""


@dataclass(frozen=True)
class Row:
    """A class in a legend; without a `colour` its box is hollow."""

    label: str
    font: Any
    colour: tuple[int, int, int] | None


def legend(classes: Sequence[str], palette: Colours, bare: Collection[int] = ()) -> np.ndarray:
    """Draw a legend as an RGB picture H x W x 3 uint8. Classes in `bare` have a hollow box."""
    from PIL import Image

    rows = _rows(range(len(classes)), classes, palette, bare, TEXT)
    return np.asarray(_drawn_on(Image.new("RGB", _extent(rows, TEXT), "white"), rows, TEXT))


def with_legend(
    picture: np.ndarray,
    shown: Sequence[int],
    classes: Sequence[str],
    palette: Colours,
    bare: Collection[int] = (),
) -> np.ndarray:
    """Draw a small legend into the lower left corner of an RGB picture H x W x 3 uint8.

    Args:
        picture: the picture, which is not changed.
        shown: indices of the classes to list, most frequent first. If there are too many, the first ones are listed.
        classes: names of all classes.
        palette: RGB colours of all classes.
        bare: classes with a hollow box.

    Returns:
        The picture with the legend, or the picture itself if it is too small.
    """
    from PIL import Image

    height, width = picture.shape[:2]
    listed = [index for index in shown if index < len(classes)]
    for text, count in _layouts(height, width, len(listed)):
        rows = _rows(sorted(listed[:count]), classes, palette, bare, text)
        wide, high = _extent(rows, text)
        if wide <= width and wide * high <= MAX_SHARE * height * width:
            out = picture.copy()
            panel = Image.fromarray(picture[height - high :, :wide])
            panel = Image.blend(panel, Image.new("RGB", panel.size, "white"), 0.8)
            out[height - high :, :wide] = np.asarray(_drawn_on(panel, rows, text))
            return out
    return picture


def _layouts(height: int, width: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield (letter height, number of classes) of legends that are not higher than the picture, best first.

    Letters shrink from a size that suits the picture to the smallest legible one; then the number of classes shrinks.
    """
    largest = int(min(max(min(height, width) / 30, SMALLEST), LARGEST))
    for text in range(largest, SMALLEST, -1):
        if count and _height(count, text) <= height:
            yield text, count
    for fewer in range(count, max(0, min(MIN_CLASSES, count) - 1), -1):
        if _height(fewer, SMALLEST) <= height:
            yield SMALLEST, fewer


def _rows(
    listed: Sequence[int], classes: Sequence[str], palette: Colours, bare: Collection[int], text: int
) -> list[Row]:
    rows = []
    for index in listed:
        name = " ".join(classes[index].split())
        font, missing = _font(name, text)
        label = "".join("?" if letter in missing else letter for letter in name)
        rows.append(Row(label, font, None if index in bare else palette[index]))
    return rows


def _extent(rows: Sequence[Row], text: int) -> tuple[int, int]:
    """Width and height of a legend with letters `text` pixels high."""
    wide = max((row.font.getlength(row.label) for row in rows), default=0)
    return 3 * _pad(text) + text + math.ceil(wide), _height(len(rows), text)


def _height(count: int, text: int) -> int:
    return _step(text) * count + _pad(text)


def _step(text: int) -> int:
    return round(1.5 * text)


def _pad(text: int) -> int:
    return max(2, text // 3)


def _drawn_on(panel: Image, rows: Sequence[Row], text: int) -> Image:
    from PIL import ImageDraw

    draw, pad, step = ImageDraw.Draw(panel), _pad(text), _step(text)
    for place, row in enumerate(rows):
        top = place * step + (step - text + pad) // 2
        box = (pad, top, pad + text - 1, top + text - 1)
        draw.rectangle(box, fill=row.colour, outline=row.colour or (128, 128, 128))
        draw.text((2 * pad + text, top + text // 2), row.label, fill="black", font=row.font, anchor="lm")
    return panel


@lru_cache(maxsize=1024)
def _font(name: str, size: int) -> tuple[Any, frozenset[str]]:
    """Choose the font with the fewest missing letters, preferring Pillow's own; return it and those letters."""
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    missing = _missing_letters(name, font)
    for file in FALLBACKS if missing else ():
        try:
            other = ImageFont.truetype(file, size)
        except OSError:
            continue
        still_missing = _missing_letters(name, other)
        if len(still_missing) < len(missing):
            font, missing = other, still_missing
    return font, missing


def _missing_letters(name: str, font: Any) -> frozenset[str]:
    """The letters that a font draws as its box for unknown letters."""
    unknown = bytes(font.getmask("\uffff"))
    return frozenset(letter for letter in name if ord(letter) > 126 and bytes(font.getmask(letter)) == unknown)
