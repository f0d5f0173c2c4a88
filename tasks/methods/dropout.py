"""Channel dropout with a step's generator."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["channel_dropout"]


def channel_dropout(features: Tensor, generator: torch.Generator) -> Tensor:
    """Zero a random half of the channels of each image in features N x C x H x W, and double the others."""
    kept = 2.0 * (torch.rand(features.shape[:2], generator=generator) < 0.5)
    return features * kept.to(features, non_blocking=True)[:, :, None, None]
