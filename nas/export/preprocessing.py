"""How a photo is brought to what the network saw in training, as its checkpoint records it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.errors import UserError

if TYPE_CHECKING:
    from nas.tasks.data.depth import PixelScale

__all__ = ["Preprocessing"]

SQUEEZE = "squeeze"
"""Resize each image to exactly the working size: by area where it shrinks in both directions, else linearly."""


@dataclass(frozen=True)
class Preprocessing:
    """From an image file to the pixels of the network's input.

    Attributes:
        size: height and width of the network's input, in pixels.
        resize: how images are brought to that size; `SQUEEZE` is the only way there is.
        scale: how images of more than 8 bits a channel are brought to 8; None decides from each image alone.
    """

    size: tuple[int, int]
    resize: str = SQUEEZE
    scale: PixelScale | None = None

    def read(self, path: Path) -> np.ndarray:
        """An image file as RGB, H x W x 3 uint8, at its own size.

        Raises:
            UserError: it cannot be read or decoded.
        """
        from nas.tasks.data.files import read_image

        return read_image(path, self.scale)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """An RGB image H x W x 3 uint8 at the working size."""
        from nas.tasks.data.files import resize

        return resize(image, self.size)

    def described(self) -> dict[str, Any]:
        """What a checkpoint and an exported file say of it, beside the size."""
        scale = None if self.scale is None else self.scale.to_json()
        return {"resize": self.resize, "shrinking": "area", "growing": "linear", "scale": scale}

    @classmethod
    def from_description(cls, size: tuple[int, int], described: Mapping[str, Any]) -> Preprocessing:
        """Rebuild from `described()`.

        Raises:
            UserError: it names a way of resizing that this version does not know.
        """
        from nas.tasks.data.depth import PixelScale

        way, scale = described["resize"], described.get("scale")
        if way != SQUEEZE:
            raise UserError(f"images are resized by {way!r}, which this version does not know: use a newer one")
        return cls(size, way, None if scale is None else PixelScale.from_json(scale))
