"""Prediction on photos of any size: at the scale of the training, in windows, then at their own size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.export.checkpoint import Checkpoint
from nas.models import Network

__all__ = ["Predictor", "stretch_of"]

STRIP_BYTES = 64 << 20
"""How many bytes of upsampled logits are held at a time: those of a whole photo may be gigabytes."""

WINDOWS_AT_ONCE = 4

OVERLAP = 0.25
"""The least share of a window that its neighbour also sees, since what lies at a border lacks context."""

VETOED = -1e4
"""The logit of a class that every window vetoed: far below any other, and finite, so that it can be interpolated."""


@dataclass(frozen=True)
class Predictor:
    """Predicts class maps with a network trained at `size` (H, W).

    A photo is scaled so that its height becomes `height` (by default the network's own), and widened by `stretch`, as
    the images of the training were: objects then have the size and shape that they had there. Where the scaled photo
    is larger than the training size, windows of that size slide over it, and logits are averaged where they overlap.
    Where a network answers minus infinity, the class is vetoed: such windows are left out of the class's average.
    """

    network: Network
    size: tuple[int, int]
    height: int | None = None
    stretch: float = 1.0

    @torch.no_grad()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Class indices H x W uint8 of an RGB image H x W x 3 uint8."""
        height, width = image.shape[:2]
        return upsampled_classes(self.logits(self._scaled(image)), (height, width))

    def _scaled(self, image: np.ndarray) -> np.ndarray:
        import cv2

        height, width = image.shape[:2]
        high = self.height or self.size[0]
        wide = max(1, round(width * self.stretch * high / height))
        # As the training data is resized: by area where it shrinks, linearly where it grows.
        how = cv2.INTER_AREA if high <= height else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, (wide, high), interpolation=how))

    @torch.no_grad()
    def logits(self, image: np.ndarray) -> Tensor:
        """Logits K x h x w of an RGB image h x w x 3, averaged over windows where it takes several, VETOED at least."""
        device = self.network.mean.device
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        high, wide = (min(side, most) for side, most in zip(pixels.shape[1:], self.size, strict=True))
        corners = [(top, left) for top in _starts(pixels.shape[1], high) for left in _starts(pixels.shape[2], wide)]
        total = torch.zeros(self.network.classes, *pixels.shape[1:], device=device)
        counts = torch.zeros_like(total)
        for first in range(0, len(corners), WINDOWS_AT_ONCE):
            group = corners[first : first + WINDOWS_AT_ONCE]
            windows = torch.stack([pixels[:, y : y + high, x : x + wide] for y, x in group]).to(device)
            scores = self.network(windows.float().div_(255))
            for (y, x), score in zip(group, scores, strict=True):
                allowed = score != -math.inf
                total[:, y : y + high, x : x + wide] += score.where(allowed, 0.0)
                counts[:, y : y + high, x : x + wide] += allowed
        return total.div_(counts).masked_fill_(counts == 0, VETOED)


def stretch_of(checkpoint: Checkpoint) -> float:
    """How much wider than high the training made its images; 1 where the checkpoint does not say."""
    data = checkpoint.provenance.get("data")
    native = data.get("native") if isinstance(data, dict) else None
    if not native:
        return 1.0
    (height, width), (high, wide) = native, checkpoint.size
    return float((wide / high) / (width / height))


def upsampled_classes(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Class indices H x W uint8: argmax of logits K x h x w interpolated bilinearly to `size`, in strips."""
    height, width = size
    rows = max(1, STRIP_BYTES // (4 * len(logits) * width))
    out = np.empty(size, np.uint8)
    # Centres of the output's rows in the logits' rows, as `interpolate` without aligned corners places them.
    places = ((torch.arange(height) + 0.5) * logits.shape[1] / height - 0.5).clamp_(0, logits.shape[1] - 1)
    for top in range(0, height, rows):
        at = places[top : top + rows].to(logits.device)
        above = at.long()
        below = (above + 1).clamp_(max=logits.shape[1] - 1)
        share = (at - above).view(1, -1, 1)
        strip = torch.lerp(logits[:, above], logits[:, below], share)
        strip = F.interpolate(strip[None], size=(len(at), width), mode="bilinear", align_corners=False)[0]
        out[top : top + rows] = strip.argmax(0).to(torch.uint8).cpu().numpy()
    return out


def _starts(length: int, window: int) -> list[int]:
    """Where windows begin so that they cover `length`, evenly spread and overlapping by OVERLAP at least."""
    spare = length - window
    if spare <= 0:
        return [0]
    count = math.ceil(spare / (window * (1 - OVERLAP))) + 1
    return [round(i * spare / (count - 1)) for i in range(count)]
