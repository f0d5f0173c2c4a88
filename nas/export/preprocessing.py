"""Preprocessing of photos for a network, as recorded in its checkpoint."""

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
"""Resize each image to exactly the working size: by area if it shrinks in both directions, else bilinearly."""


@dataclass(frozen=True)
class Preprocessing:
    """Reads and resizes photos for a network.

    Attributes:
        size: height and width of the network's input, in pixels.
        resize: how images are resized; `SQUEEZE` is the only way.
        scale: how images with more than 8 bits per channel are scaled to 8; None to decide for each image separately.
    """

    size: tuple[int, int]
    resize: str = SQUEEZE
    scale: PixelScale | None = None

    def read(self, path: Path) -> np.ndarray:
        """Read an image file as RGB, H x W x 3 uint8, at its own size.

        Raises:
            UserError: the file cannot be read or decoded.
        """
        from nas.tasks.data.files import read_image

        return read_image(path, self.scale)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Resize an RGB image H x W x 3 uint8 to the working size."""
        from nas.tasks.data.files import resize

        return resize(image, self.size)

    def described(self) -> dict[str, Any]:
        """Describe the preprocessing, without the size, for checkpoints and exported files."""
        scale = None if self.scale is None else self.scale.to_json()
        return {"resize": self.resize, "shrinking": "area", "growing": "linear", "scale": scale}

    @classmethod
    def from_description(cls, size: tuple[int, int], described: Mapping[str, Any]) -> Preprocessing:
        """Create the preprocessing from what `described` returned.

        Raises:
            UserError: this version does not know the way of resizing.
        """
        from nas.tasks.data.depth import PixelScale

        resize, scale = described["resize"], described.get("scale")
        if resize != SQUEEZE:
            raise UserError(f"images are resized by {resize!r}, which this version does not know: use a newer version")
        return cls(size, resize, None if scale is None else PixelScale.from_json(scale))
