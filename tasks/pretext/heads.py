"""Heads of pretext tasks, from features to a prediction, at a fraction of the cost of a decoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.models.bilinear import bilinear

__all__ = ["PixelHead", "TileHead", "crop_to", "tile_means"]


class PixelHead(nn.Module):
    """Head that fuses all features at stride 4 and predicts a map.

    Each feature is projected by a 1x1 convolution and resized to the working stride: 4, or that of the finest feature
    or the prediction if larger. Their sum goes through a norm, a 3x3 convolution and a pixel shuffle to the stride of
    the prediction, so that no convolution runs at full resolution. The norm is group norm, which has no running
    statistics that corrupted inputs could change.

    Args:
        channels: channels of the features, fine to coarse.
        reductions: strides of the features, powers of two.
        out_channels: channels of the prediction.
        stride: stride of the prediction; 1 for the resolution of the image.
        width: hidden channels, a multiple of 8.
        start: initial bias of the prediction.
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
        """Map features, fine to coarse, to N x out_channels x h x w, which may include padding."""
        reach = self.work // self.reductions[0]
        size = (math.ceil(features[0].shape[-2] / reach), math.ceil(features[0].shape[-1] / reach))
        total = self._at(features[0], 0, size)
        for index in range(1, len(features)):
            total = total + self._at(features[index], index, size)
        # Group norm is fast only on contiguous tensors.
        mixed = F.relu(self.mix(F.relu(self.norm(total.contiguous()))))
        return F.pixel_shuffle(self.out(mixed), self.factor)

    def _at(self, feature: Tensor, index: int, size: tuple[int, int]) -> Tensor:
        """Project a feature to the working size. It is convolved at the smaller of both sizes."""
        ratio = self.work // self.reductions[index]
        if ratio > 1:
            feature = F.avg_pool2d(feature, ratio, ceil_mode=True, count_include_pad=False)
        projected: Tensor = self.projections[index](feature)
        if projected.shape[-2:] != size:
            projected = bilinear(projected, size)
        return projected


class TileHead(nn.Module):
    """Head that classifies an image by the mean features of grid x grid tiles.

    Features are averaged within tiles, reduced by a layer shared by all tiles, concatenated and classified by two
    linear layers, as in the context-free network of Noroozi & Favaro (2016).

    Args:
        channels: channels of the features.
        grid: tiles per side.
        classes: number of classes.
        width: features of each tile after the reduction.
        hidden: width of the hidden layer.
    """

    def __init__(self, channels: Sequence[int], grid: int, classes: int, width: int = 64, hidden: int = 128) -> None:
        super().__init__()
        self.grid = grid
        self.tile = nn.Conv2d(sum(channels), width, 1)
        self.joint = nn.Linear(width * grid * grid, hidden)
        self.out = nn.Linear(hidden, classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map features, fine to coarse, to logits N x classes."""
        tiles = torch.cat([tile_means(feature, self.grid) for feature in features], 1)
        joint = self.joint(F.relu(self.tile(tiles)).flatten(1))
        logits: Tensor = self.out(F.relu(joint))
        return logits


def tile_means(feature: Tensor, grid: int) -> Tensor:
    """Average a map over grid x grid equal tiles, N x C x H x W to N x C x grid x grid.

    Pixels at borders of tiles are shared by area, so that sizes need not be multiples of the grid. Unlike adaptive
    pooling, the gradient is deterministic on CUDA.
    """
    rows = _averaging_matrix(feature.shape[-2], grid, feature)
    columns = _averaging_matrix(feature.shape[-1], grid, feature)
    return rows @ feature @ columns.mT


def _averaging_matrix(length: int, grid: int, like: Tensor) -> Tensor:
    """Weights of pixels in the means of tiles along one axis, grid x length; rows sum to 1."""
    pixel = torch.arange(length, device=like.device, dtype=torch.float32)
    edge = torch.arange(grid + 1, device=like.device, dtype=torch.float32).unsqueeze(1) * (length / grid)
    overlap = torch.minimum(pixel + 1, edge[1:]) - torch.maximum(pixel, edge[:-1])
    return (overlap.clamp_min(0) * (grid / length)).to(like.dtype)


def crop_to(prediction: Tensor, size: Sequence[int]) -> Tensor:
    """Crop padding at the bottom and the right from a prediction, to N x C x H x W for `size` (H, W)."""
    return prediction[..., : size[0], : size[1]]
