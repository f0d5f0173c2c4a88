"""Random numbers for tasks and methods: decided by a step's CPU generator, given on the images' device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["channel_dropout", "noise_like", "uniform"]


def uniform(shape: Sequence[int], low: float, high: float, generator: torch.Generator, device: torch.device) -> Tensor:
    """Numbers drawn evenly from [low, high), float32, the same on every device."""
    return torch.empty(tuple(shape)).uniform_(low, high, generator=generator).to(device, non_blocking=True)


def channel_dropout(features: Tensor, generator: torch.Generator) -> Tensor:
    """Features N x C x H x W with half of every image's channels zeroed and the others doubled."""
    kept = 2.0 * (torch.rand(features.shape[:2], generator=generator) < 0.5)
    return features * kept.to(features, non_blocking=True)[:, :, None, None]


def noise_like(images: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise in the shape of the images, float32, on their device.

    Only a seed is drawn on the CPU: noise for a batch of large crops drawn there would cost more
    than the step it is for. A device therefore has its own noise, the same at every run.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    local = torch.Generator(images.device).manual_seed(seed)
    return torch.randn(images.shape, generator=local, device=images.device, dtype=torch.float32)
