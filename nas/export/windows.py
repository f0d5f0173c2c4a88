"""Prediction in sliding windows: photos keep their proportions, and logits are averaged where windows overlap."""

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
"""The least share of a window that its neighbour also sees, since what lies at a border lacks context."""


@dataclass(frozen=True)
class WindowPredictor(Predictor):
    """Class maps of photos that are seen in windows of the working size.

    A photo is scaled so that its height becomes `height`, and widened by `stretch`, as the first image of the training
    was: objects then have the size and shape that they had there, whatever the photo's own proportions.
    Where the network answers minus infinity, the class is vetoed: such windows are left out of the class's average.

    Attributes:
        height: of the scaled photo, in pixels; 0 is the height of the working size.
        stretch: how much wider than high the training made its images.
    """

    height: int = 0
    stretch: float = 1.0

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, device: torch.device | str = "cpu", height: int | None = None
    ) -> WindowPredictor:
        """The predictor of a checkpoint, which sees photos `height` pixels high."""
        whole = super().of(checkpoint, device)
        assert isinstance(whole, WindowPredictor)
        return replace(whole, height=height or checkpoint.size[0], stretch=stretch_of(checkpoint))

    @torch.no_grad()
    def logits(self, image: np.ndarray) -> Tensor:
        """Logits, K x h x w, of an RGB image at the scale of its windows, averaged over them; `VETOED` at least."""
        scaled = self._scaled(image)
        height, width = scaled.shape[:2]
        high, wide = (min(side, most) for side, most in zip((height, width), self.preprocessing.size, strict=True))
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
    """How much wider than high the training made its first image; 1 where the checkpoint does not say."""
    data = checkpoint.provenance.get("data")
    native = data.get("native") if isinstance(data, dict) else None
    if not native:
        return 1.0
    (height, width), (high, wide) = native, checkpoint.size
    return float((wide / high) / (width / height))


def _starts(length: int, window: int) -> list[int]:
    """Where windows begin so that they cover `length`, evenly spread and overlapping by OVERLAP at least."""
    spare = length - window
    if spare <= 0:
        return [0]
    count = math.ceil(spare / (window * (1 - OVERLAP))) + 1
    return [round(i * spare / (count - 1)) for i in range(count)]
