"""A small network with the interface that tasks and methods need, for contracts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["TinyNetwork", "features_like", "rng"]


class TinyNetwork(nn.Module):
    """Three stages with batch norm at strides 1, 2 and 4, and a decoder that adds them."""

    channels = (8, 12, 16)
    reductions = (1, 2, 4)

    def __init__(self, classes: int = 4, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            inputs = (3, *self.channels[:-1])
            self.stages = nn.ModuleList(
                nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())
                for i, o in zip(inputs, self.channels, strict=True)
            )
            self.sides = nn.ModuleList(nn.Conv2d(c, classes, 1) for c in self.channels)
            self.heads = nn.ModuleDict({"Pretext": nn.Linear(2, 2)})

    def features(self, images: Tensor) -> list[Tensor]:
        x = F.pad(images, (0, -images.shape[-1] % 4, 0, -images.shape[-2] % 4))
        found: list[Tensor] = []
        for stage in self.stages:
            x = stage(F.max_pool2d(x, 2) if found else x)
            found.append(x)
        return found

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.features(images), (images.shape[-2], images.shape[-1]))

    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        maps = [side(f) for side, f in zip(self.sides, features, strict=True)]
        resized = [F.interpolate(m, size=features[0].shape[-2:]) for m in maps]
        return sum(resized[1:], resized[0])[..., : size[0], : size[1]]


def features_like(
    images: Tensor, channels: tuple[int, ...], reductions: tuple[int, ...], generator: torch.Generator
) -> list[Tensor]:
    """Random features with the sizes of an encoder's features for the images, padded to its largest stride."""
    multiple = max(reductions)
    height, width = (-(-side // multiple) * multiple for side in images.shape[-2:])
    return [
        torch.randn(len(images), c, height // r, width // r, generator=generator)
        for c, r in zip(channels, reductions, strict=True)
    ]


def rng(seed: int = 0) -> torch.Generator:
    """A CPU generator with a seed."""
    return torch.Generator().manual_seed(seed)
