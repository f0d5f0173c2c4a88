"""Random tensors on the device of the images, determined by a step's CPU generator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["noise_like", "uniform"]


def uniform(shape: Sequence[int], low: float, high: float, generator: torch.Generator, device: torch.device) -> Tensor:
    """Sample float32 numbers uniformly from [low, high). They are the same on every device."""
    return torch.empty(tuple(shape)).uniform_(low, high, generator=generator).to(device, non_blocking=True)


def noise_like(images: Tensor, generator: torch.Generator) -> Tensor:
    """Sample standard normal noise with the shape of the images, float32, on their device.

    Only a seed is drawn from `generator`, because sampling noise for large crops on the CPU would take longer than the
    step. So each kind of device has different noise, which is the same in every run.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    local = torch.Generator(images.device).manual_seed(seed)
    return torch.randn(images.shape, generator=local, device=images.device, dtype=torch.float32)
