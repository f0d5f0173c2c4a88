"""Images of more than 8 bits a channel: one scale for all images of a set, kept for prediction."""

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
"""What cameras, microscopes and scanners store in 16 bits."""


@dataclass(frozen=True)
class PixelScale:
    """Which stored values become black (0) and white (255); 8-bit images stay as they are.

    Attributes:
        whole: of images that store whole numbers of more than 8 bits, such as (0, 4095); None if the set held none.
        real: of images that store floats, such as (0, 1); None if the set held none.
    """

    whole: Range | None = None
    real: Range | None = None

    def apply(self, pixels: np.ndarray) -> npt.NDArray[np.uint8]:
        """Pixels as RGB, H x W x 3 uint8, from H x W or H x W x 3 of any type.

        An image of a kind that the set did not hold is scaled by its own values.
        """
        if pixels.dtype != np.uint8:
            known = self.real if pixels.dtype.kind == "f" else self.whole
            low, high = known or _range([_extremes(pixels)], pixels.dtype.kind == "f")
            share = (np.nan_to_num(pixels.astype(np.float32), nan=low) - low) / (high - low)
            pixels = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
        return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {"whole": self.whole and list(self.whole), "real": self.real and list(self.real)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> PixelScale:
        """The inverse of `to_json`."""
        whole, real = content.get("whole"), content.get("real")
        return cls(whole and (float(whole[0]), float(whole[1])), real and (float(real[0]), float(real[1])))

    def notes(self) -> tuple[str, ...]:
        """A sentence for each kind of deep images the set holds."""
        said = []
        for what, known in (("more than 8 bits", self.whole), ("floating-point values", self.real)):
            if known is not None:
                said.append(f"images of {what}: {known[0]:g} to {known[1]:g} become 0 to 255, in every image")
        return tuple(said)


EIGHT_BITS = PixelScale()
"""The scale of a set that holds images of 8 bits only."""


def find_scale(headers: Mapping[Path, Header | None], what: str, progress: bool = False) -> PixelScale:
    """The scale of a set, from the least and the greatest value among its images of more than 8 bits.

    Whole numbers are taken for 8, 10, 12, 14 or 16 bits, whichever holds the greatest; floats for 0 to 1 where they lie
    in it. Images that cannot be read are passed over.

    Args:
        headers: of all images of the set; the pixels of those that are deep are decoded.
        what: for the progress bar.
        progress: whether to show one.
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
    """Least and greatest value of an image, and whether it stores floats; None for 8 bits and for a broken one."""
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
    """Black and white of images whose least and greatest values are these."""
    lows, highs = zip(*extremes, strict=True)
    low, high = min(lows), max(highs)
    if low >= 0 and real and high <= 1:
        return 0.0, 1.0
    tops = [float((1 << bits) - 1) for bits in _BITS]
    top = next((top for top in tops if high <= top), None)
    # Floats that just exceed 1 are not of 0 to 255: most of that range has to be used to say so.
    if low >= 0 and top is not None and (not real or high > top / 2):
        return 0.0, top
    return (low, high) if high > low else (low, low + 1)
