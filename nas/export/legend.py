"""Legends: the classes' names beside their colours, as a picture of their own or in a corner of another."""

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
"""Height of the letters of a legend by itself, in pixels."""

SMALLEST, LARGEST = 9, 40
"""Heights of the letters of a legend in a picture, in pixels."""

MOST = 0.3
"""Share of a picture that its legend may cover; a picture too small for it has none."""

FEWEST = 3
"""Classes that a legend must have room for, if there are so many: rather none than one that says little."""

FALLBACKS = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc", "msgothic.ttc")
"""Fonts of many scripts, used where the system has them and a name needs them."""


@dataclass(frozen=True)
class Row:
    """One class of a legend; `colour` None is a hollow box."""

    label: str
    font: Any
    colour: tuple[int, int, int] | None


def legend(classes: Sequence[str], palette: Colours, bare: Collection[int] = ()) -> np.ndarray:
    """An RGB picture, H x W x 3 uint8, that names each class beside its colour; those in `bare` have a hollow box."""
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
    """An RGB picture H x W x 3 uint8 with a small legend in its lower left corner.

    Args:
        shown: the classes to list, the commonest first: of very many, as many as there is room for.
        bare: the classes that have a hollow box.
    """
    from PIL import Image

    height, width = picture.shape[:2]
    listed = [index for index in shown if index < len(classes)]
    for text, count in _layouts(height, width, len(listed)):
        rows = _rows(sorted(listed[:count]), classes, palette, bare, text)
        wide, high = _extent(rows, text)
        if wide <= width and wide * high <= MOST * height * width:
            out = picture.copy()
            panel = Image.fromarray(picture[height - high :, :wide])
            panel = Image.blend(panel, Image.new("RGB", panel.size, "white"), 0.8)
            out[height - high :, :wide] = np.asarray(_drawn_on(panel, rows, text))
            return out
    return picture


def _layouts(height: int, width: int, count: int) -> Iterator[tuple[int, int]]:
    """Heights of letters and numbers of classes, the best first, of legends no higher than a picture.

    From the letters that suit the picture down to the smallest that can be read, then with fewer classes.
    """
    largest = int(min(max(min(height, width) / 30, SMALLEST), LARGEST))
    for text in range(largest, SMALLEST, -1):
        if count and _height(count, text) <= height:
            yield text, count
    for fewer in range(count, max(0, min(FEWEST, count) - 1), -1):
        if _height(fewer, SMALLEST) <= height:
            yield SMALLEST, fewer


def _rows(
    listed: Sequence[int], classes: Sequence[str], palette: Colours, bare: Collection[int], text: int
) -> list[Row]:
    rows = []
    for index in listed:
        name = " ".join(classes[index].split())
        font, lacking = _font(name, text)
        label = "".join("?" if letter in lacking else letter for letter in name)
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
    """The font that lacks the fewest letters of the name, Pillow's own before the system's, and those letters."""
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    lacking = _lacking(name, font)
    for file in FALLBACKS if lacking else ():
        try:
            other = ImageFont.truetype(file, size)
        except OSError:
            continue
        still = _lacking(name, other)
        if len(still) < len(lacking):
            font, lacking = other, still
    return font, lacking


def _lacking(name: str, font: Any) -> frozenset[str]:
    """The letters that the font draws as the box that stands for an unknown one."""
    unknown = bytes(font.getmask("\uffff"))
    return frozenset(letter for letter in name if ord(letter) > 126 and bytes(font.getmask(letter)) == unknown)
