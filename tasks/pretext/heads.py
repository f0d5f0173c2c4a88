"""Heads of the pretext tasks: from features to a prediction, at a fraction of a decoder's cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.models.bilinear import bilinear

__all__ = ["PixelHead", "TileHead", "crop_to", "tile_means"]


class PixelHead(nn.Module):
    """Fuses all features at a quarter of the resolution and predicts a map.

    Each feature goes through a 1x1 convolution and is brought to the working stride (4, or the
    finest feature's where that is coarser); their sum is normalised, mixed by one 3x3 convolution,
    and laid out at the wanted stride by a pixel shuffle, so no convolution runs at full resolution.
    Group normalisation keeps a task's corrupted inputs out of every running statistic.

    Args:
        channels: channels of the features, fine to coarse.
        reductions: strides of the features, powers of two.
        out_channels: channels of the prediction.
        stride: stride of the prediction, 1 for a pixel each.
        width: channels in between, a multiple of 8.
        start: what an untrained head predicts on average.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        out_channels: int,
        stride: int = 1,
        width: int = 48,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        self.reductions = tuple(reductions)
        self.work = max(4, stride, min(reductions))
        self.factor = self.work // stride
        self.projections = nn.ModuleList(nn.Conv2d(c, width, 1, bias=False) for c in channels)
        self.norm = nn.GroupNorm(width // 8, width)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, out_channels * self.factor**2, 1)
        nn.init.constant_(self.out.bias, start)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features, fine to coarse, to N x out_channels x h x w; h and w may exceed the image by padding."""
        reach = self.work // self.reductions[0]
        size = (math.ceil(features[0].shape[-2] / reach), math.ceil(features[0].shape[-1] / reach))
        total = self._at(features[0], 0, size)
        for index in range(1, len(features)):
            total = total + self._at(features[index], index, size)
        # A group's statistics are quick to take in planar memory alone.
        mixed = F.relu(self.mix(F.relu(self.norm(total.contiguous()))))
        return F.pixel_shuffle(self.out(mixed), self.factor)

    def _at(self, feature: Tensor, index: int, size: tuple[int, int]) -> Tensor:
        """One feature projected at the working size, convolving on whichever side has fewer pixels."""
        ratio = self.work // self.reductions[index]
        if ratio > 1:
            feature = F.avg_pool2d(feature, ratio, ceil_mode=True, count_include_pad=False)
        projected: Tensor = self.projections[index](feature)
        if projected.shape[-2:] != size:
            projected = bilinear(projected, size)
        return projected


class TileHead(nn.Module):
    """Classifies a picture made of grid x grid tiles by the tiles' mean features and their places.

    The features of a tile are averaged, a layer shared by all tiles shortens them, and two dense
    layers see all tiles at once, as the context-free network of Noroozi & Favaro (2016) does.

    Args:
        channels: channels of the features.
        grid: tiles to a side.
        classes: number of classes.
        width: numbers kept of each tile.
        hidden: width of the layer that sees all tiles.
    """

    def __init__(self, channels: Sequence[int], grid: int, classes: int, width: int = 64, hidden: int = 128) -> None:
        super().__init__()
        self.grid = grid
        self.tile = nn.Conv2d(sum(channels), width, 1)
        self.joint = nn.Linear(width * grid * grid, hidden)
        self.out = nn.Linear(hidden, classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features, fine to coarse, to logits N x classes."""
        tiles = torch.cat([tile_means(feature, self.grid) for feature in features], 1)
        joint = self.joint(F.relu(self.tile(tiles)).flatten(1))
        logits: Tensor = self.out(F.relu(joint))
        return logits


def tile_means(feature: Tensor, grid: int) -> Tensor:
    """Means over grid x grid equal tiles, N x C x grid x grid, border pixels shared by area.

    Exact also where the map does not divide by the grid or is smaller than it, and, unlike
    adaptive pooling, with a reproducible gradient on CUDA.
    """
    rows = _shares(feature.shape[-2], grid, feature)
    columns = _shares(feature.shape[-1], grid, feature)
    return rows @ feature @ columns.mT


def _shares(length: int, grid: int, like: Tensor) -> Tensor:
    """How much of each tile's mean each pixel along a side has, grid x length; rows sum to 1."""
    pixel = torch.arange(length, device=like.device, dtype=torch.float32)
    edge = torch.arange(grid + 1, device=like.device, dtype=torch.float32).unsqueeze(1) * (length / grid)
    overlap = torch.minimum(pixel + 1, edge[1:]) - torch.maximum(pixel, edge[:-1])
    return (overlap.clamp_min(0) * (grid / length)).to(like.dtype)


def crop_to(prediction: Tensor, size: Sequence[int]) -> Tensor:
    """The prediction without what padding added below and to the right, N x C x H x W for size (H, W)."""
    return prediction[..., : size[0], : size[1]]
