"""Reduce images of more than 8 bits a channel to 8 by one scale for the data set, which prediction uses too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.tasks.data.decoding import BrokenImageError, Header, decode_image, read_bytes
from nas.tasks.data.parallel import progress_bar, threaded

__all__ = ["EIGHT_BITS", "PixelScale", "find_scale"]

Range = tuple[float, float]

_BITS = (8, 10, 12, 14, 16)
"""Bit depths that cameras, microscopes and scanners store in 16 bits."""


@dataclass(frozen=True)
class PixelScale:
    """Stored values that become black (0) and white (255); images of 8 bits are not scaled.

    Attributes:
        whole: range of integers of more than 8 bits, such as (0, 4095); None if the data set has none.
        real: range of floats, such as (0, 1); None if the data set has none.
    """

    whole: Range | None = None
    real: Range | None = None

    def apply(self, pixels: np.ndarray) -> npt.NDArray[np.uint8]:
        """Convert pixels, H x W or H x W x 3 of any type, to RGB, H x W x 3 uint8.

        If the set has no range for the type, the minimum and maximum of the image are used.
        """
        if pixels.dtype != np.uint8:
            known = self.real if pixels.dtype.kind == "f" else self.whole
            low, high = known or _range([_extremes(pixels)], pixels.dtype.kind == "f")
            share = (np.nan_to_num(pixels.astype(np.float32), nan=low) - low) / (high - low)
            pixels = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
        return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)

    def to_json(self) -> dict[str, Any]:
        """Convert to plain lists and numbers."""
        return {"whole": self.whole and list(self.whole), "real": self.real and list(self.real)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> PixelScale:
        """Restore a scale from the result of `to_json`."""
        whole, real = content.get("whole"), content.get("real")
        return cls(whole and (float(whole[0]), float(whole[1])), real and (float(real[0]), float(real[1])))

    def notes(self) -> tuple[str, ...]:
        """A sentence on each range."""
        found = []
        for what, known in (("more than 8 bits", self.whole), ("floating-point values", self.real)):
            if known is not None:
                found.append(f"images of {what}: {known[0]:g} to {known[1]:g} become 0 to 255 in all of them")
        return tuple(found)


EIGHT_BITS = PixelScale()
"""Scale of a data set whose images all have 8 bits."""


def find_scale(headers: Mapping[Path, Header | None], what: str, progress: bool = False) -> PixelScale:
    """Find the scale of a data set from the smallest and the largest value of its images of more than 8 bits.

    Integers get the range of the smallest of 8, 10, 12, 14 and 16 bits that holds the largest value. Floats get 0 to 1
    if all values are in it. Images that cannot be read are skipped.

    Args:
        headers: headers of all images; only images of more than 8 bits are decoded.
        what: name of the data set, for the progress bar.
        progress: whether to show progress on standard error.
    """
    deep = [path for path, header in headers.items() if header is not None and header.deep]
    if not deep:
        return EIGHT_BITS
    with progress_bar(len(deep), f"{what} depth", progress) as bar:
        found = [extremes for extremes in threaded(_file_extremes, deep, bar) if extremes is not None]
    whole = [(low, high) for low, high, real in found if not real]
    real = [(low, high) for low, high, real in found if real]
    return PixelScale(_range(whole, False) if whole else None, _range(real, True) if real else None)


def _file_extremes(path: Path) -> tuple[float, float, bool] | None:
    """Smallest and largest value of an image, and whether it stores floats; None for 8 bits or a broken file."""
    try:
        pixels = decode_image(read_bytes(path), path)
    except BrokenImageError:
        return None
    return None if pixels.dtype == np.uint8 else (*_extremes(pixels), pixels.dtype.kind == "f")


def _extremes(pixels: np.ndarray) -> Range:
    if pixels.dtype.kind == "f":
        finite = pixels[np.isfinite(pixels)]
        return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return float(pixels.min()), float(pixels.max())


def _range(extremes: Sequence[Range] | Iterable[Range], real: bool) -> Range:
    """The range of images, from the smallest and the largest value of each."""
    lows, highs = zip(*extremes, strict=True)
    low, high = min(lows), max(highs)
    if low >= 0 and real and high <= 1:
        return 0.0, 1.0
    tops = [float((1 << bits) - 1) for bits in _BITS]
    top = next((top for top in tops if high <= top), None)
    # Floats that barely exceed 1 do not have the range 0 to 255, so half of a range must be used.
    if low >= 0 and top is not None and (not real or high > top / 2):
        return 0.0, top
    return (low, high) if high > low else (low, low + 1)
