"""Batch: what one training step is given, labelled and unlabelled images alike."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["VOID", "Batch"]

VOID = 255


@dataclass(frozen=True)
class Batch:
    """One step's images.

    Attributes:
        images: labelled images, augmented, B x 3 x H x W float in [0, 1].
        masks: their labels, B x H x W int64, 255 where void.
        unlabelled: unlabelled images in a weak (geometric) view, U x 3 x H x W, or None.
        generator: the CPU generator that every random number of the step is drawn from.
    """

    images: torch.Tensor
    masks: torch.Tensor
    unlabelled: torch.Tensor | None
    generator: torch.Generator
