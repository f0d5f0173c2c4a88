"""Prediction in sliding windows, which keeps the proportions of photos and averages logits where windows overlap."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nas.export.checkpoint import Checkpoint
from nas.export.predict import VETOED, Predictor

__all__ = ["OVERLAP", "WindowPredictor", "stretch_of"]

WINDOWS_AT_ONCE = 4

OVERLAP = 0.25
"""Minimum overlap of neighbouring windows, as a share of a window. Pixels at a border lack context."""


@dataclass(frozen=True)
class WindowPredictor(Predictor):
    """Predicts class maps of photos in windows of the working size.

    A photo is scaled to `height` and widened by `stretch`, so that objects have the size and proportions that they had
    in training, whatever the proportions of the photo. A window in which a class is vetoed (its logit is minus
    infinity) is left out of the average of that class.

    Attributes:
        height: height of the scaled photo, in pixels; 0 for the height of the working size.
        stretch: factor by which training images were widened relative to their height.
    """

    height: int = 0
    stretch: float = 1.0

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, device: torch.device | str = "cpu", height: int | None = None
    ) -> WindowPredictor:
        """Create a predictor from a loaded checkpoint, which scales photos to `height` pixels."""
        whole = super().of(checkpoint, device)
        assert isinstance(whole, WindowPredictor)
        return replace(whole, height=height or checkpoint.size[0], stretch=stretch_of(checkpoint))

    @torch.no_grad()
    def logits(self, image: np.ndarray) -> Tensor:
        """Compute logits K x h x w of a scaled RGB image, averaged over its windows; at least `VETOED`."""
        scaled = self._scaled(image)
        height, width = scaled.shape[:2]
        high, wide = (min(side, limit) for side, limit in zip((height, width), self.preprocessing.size, strict=True))
        corners = [(top, left) for top in _starts(height, high) for left in _starts(width, wide)]
        total = torch.zeros(self.network.classes, height, width, device=self.network.mean.device)
        counts = torch.zeros_like(total)
        for first in range(0, len(corners), WINDOWS_AT_ONCE):
            group = corners[first : first + WINDOWS_AT_ONCE]
            scores = self.scores(np.stack([scaled[y : y + high, x : x + wide] for y, x in group]))
            for (y, x), score in zip(group, scores, strict=True):
                allowed = score != -math.inf
                total[:, y : y + high, x : x + wide] += score.where(allowed, 0.0)
                counts[:, y : y + high, x : x + wide] += allowed
        return total.div_(counts).masked_fill_(counts == 0, VETOED)

    def _scaled(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        high = self.height or self.preprocessing.size[0]
        wide = max(1, round(width * self.stretch * high / height))
        return replace(self.preprocessing, size=(high, wide))(image)


def stretch_of(checkpoint: Checkpoint) -> float:
    """Factor by which the first training image was widened relative to its height; 1 if it is not recorded."""
    data = checkpoint.provenance.get("data")
    native = data.get("native") if isinstance(data, dict) else None
    if not native:
        return 1.0
    (height, width), (high, wide) = native, checkpoint.size
    return float((wide / high) / (width / height))


def _starts(length: int, window: int) -> list[int]:
    """Starts of evenly spaced windows that cover `length` and overlap by at least OVERLAP."""
    spare = length - window
    if spare <= 0:
        return [0]
    count = math.ceil(spare / (window * (1 - OVERLAP))) + 1
    return [round(i * spare / (count - 1)) for i in range(count)]
