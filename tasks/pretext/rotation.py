"""Rotation: turn an image by a multiple of 90 degrees and tell by which."""

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
    """Classifies by which of 0, 90, 180 and 270 degrees an image was turned (Gidaris et al. 2018).

    What is turned is a square, as large as fits and anywhere in the image, so that its shape and
    the padding of the network say nothing. The head keeps the places of 3 x 3 tiles: in a street it
    is where things are, not which, that gives the direction.

    Attributes:
        weight: of this task's loss in the total.
    """

    weight: float = 1.0

    def head(self, channels: Sequence[int], reductions: Sequence[int]) -> nn.Module:
        """From features to logits over the quarter turns, N x 4."""
        return TileHead(channels, GRID, TURNS)

    def make_batch(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Turned squares N x 3 x s x s with s = min(H, W); targets are the quarter turns, N int64.

        Turns are counterclockwise.
        """
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
        """Cross-entropy over the turns."""
        return F.cross_entropy(prediction.float(), targets)

    def metric(self, prediction: Tensor, targets: Tensor) -> float:
        """Share of images whose turn is told right."""
        return float((prediction.argmax(1) == targets).float().mean())
