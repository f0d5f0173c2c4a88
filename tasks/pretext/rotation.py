"""Rotation: classify by which multiple of 90 degrees an image was rotated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.space.component import Component
from nas.tasks.pretext.heads import TileHead

__all__ = ["Rotation"]

TURNS = 4
GRID = 3


@dataclass(frozen=True)
class Rotation(Component):
    """Classify by which of 0, 90, 180 and 270 degrees an image was rotated (Gidaris et al. 2018).

    Inputs are the largest squares that fit, at random positions, so that neither shape nor padding reveals the
    rotation. The head sees 3 x 3 tiles by position: in street scenes, the layout shows which side is up.

    Attributes:
        weight: weight of the loss.
    """

    weight: float = 1.0

    def head(self, channels: Sequence[int], reductions: Sequence[int]) -> nn.Module:
        """Build the head from features to logits N x 4 of quarter turns."""
        return TileHead(channels, GRID, TURNS)

    def make_batch(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return rotated squares N x 3 x s x s with s = min(H, W), and counterclockwise quarter turns, N int64."""
        count, _, height, width = images.shape
        side = min(height, width)
        turns = torch.randint(TURNS, (count,), generator=generator)
        offsets = torch.randint(max(height, width) - side + 1, (count,), generator=generator).tolist()
        squares = (
            image[:, at : at + side] if height > width else image[:, :, at : at + side]
            for image, at in zip(images, offsets, strict=True)
        )
        turned = [torch.rot90(square, turn, (1, 2)) for square, turn in zip(squares, turns.tolist(), strict=True)]
        return torch.stack(turned), turns.to(images.device, non_blocking=True)

    def loss(self, prediction: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy over the quarter turns."""
        return F.cross_entropy(prediction.float(), targets)

    def metric(self, prediction: Tensor, targets: Tensor) -> float:
        """Accuracy over images."""
        return float((prediction.argmax(1) == targets).float().mean())
