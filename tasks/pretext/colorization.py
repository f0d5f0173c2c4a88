"""Colorization: predict the colours of an image from its lightness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.space.checks import check_range
from nas.space.component import Component
from nas.tasks.pretext.heads import PixelHead, crop_to

__all__ = ["Colorization", "color_bins", "rgb_to_lab"]

STRIDE = 4
# Linear sRGB to CIE XYZ, with rows divided by the D65 white point, so that white is (1, 1, 1).
_TO_XYZ = (
    (0.412453 / 0.950456, 0.357580 / 0.950456, 0.180423 / 0.950456),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.088754, 0.119193 / 1.088754, 0.950227 / 1.088754),
)


@dataclass(frozen=True)
class Colorization(Component):
    """Classify the colour of each block of 4 x 4 pixels from the lightness (Zhang et al. 2016).

    The classes are the cells of a grid over the ab plane of CIE Lab that contain an sRGB colour. The target is the
    nearest cell; the paper uses a soft target of the five nearest.

    Attributes:
        grid: side of a cell in units of a and b.
        rebalance: whether rare colours have larger weights. Frequencies are those of the batch; the paper uses those of
            ImageNet.
        mix: share of uniform weights in the rebalancing, lambda in the paper.
        weight: weight of the loss.
    """

    grid: int = 10
    rebalance: bool = False
    mix: float = 0.5
    weight: float = 1.0

    def canonical(self) -> Colorization:
        """Reset the mix where there is no rebalancing."""
        return self if self.rebalance else replace(self, mix=Colorization.mix)

    def head(self, channels: Sequence[int], reductions: Sequence[int]) -> nn.Module:
        """Build the head from features to logits N x Q x ceil(H / 4) x ceil(W / 4) of Q colours."""
        return PixelHead(channels, reductions, out_channels=len(color_bins(self.grid)), stride=STRIDE)

    def make_batch(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return lightness / 100 in three equal channels, and colour classes N x ceil(H / 4) x ceil(W / 4) int64.

        Blocks are averaged in linear light, so that their colours are sRGB colours.
        """
        with torch.autocast(images.device.type, enabled=False):
            linear = _linear_light(images)
            white = images.new_tensor(_TO_XYZ[1], dtype=torch.float32).view(1, 3, 1, 1)
            lightness = 1.16 * _perceived((linear * white).sum(1, keepdim=True)) - 0.16
            small = F.avg_pool2d(linear, STRIDE, ceil_mode=True, count_include_pad=False)
            targets = self._classes(_linear_to_lab(small)[:, 1:])
        return lightness.repeat(1, 3, 1, 1), targets

    def loss(self, prediction: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy over colour classes."""
        logits = crop_to(prediction, targets.shape[-2:]).float()
        losses = F.cross_entropy(logits, targets, reduction="none")
        if self.rebalance:
            losses = losses * self._color_weights(targets)[targets]
        return losses.mean()

    def metric(self, prediction: Tensor, targets: Tensor) -> float:
        """Accuracy over blocks."""
        return float((crop_to(prediction, targets.shape[-2:]).argmax(1) == targets).float().mean())

    def _classes(self, ab: Tensor) -> Tensor:
        """Classify ab colours, N x 2 x h x w to N x h x w."""
        table = _cell_table(self.grid).to(ab.device, non_blocking=True)
        middle = table.shape[0] // 2
        cells = (ab / self.grid).round().long().clamp(-middle, middle) + middle
        return table[cells[:, 0], cells[:, 1]]

    def _color_weights(self, targets: Tensor) -> Tensor:
        """Weights of colour classes, Q float32, with mean 1 over the batch (Zhang et al. 2016, equation 4)."""
        bins = color_bins(self.grid).to(targets.device, non_blocking=True)
        shares = torch.bincount(targets.flatten(), minlength=len(bins)).float() / targets.numel()
        with torch.autocast(targets.device.type, enabled=False):
            smooth = shares @ torch.softmax(torch.cdist(bins, bins).square() / -50, 1)
        weights = 1 / ((1 - self.mix) * smooth + self.mix / len(bins))
        return weights / (weights * shares).sum()


@lru_cache(maxsize=8)
def color_bins(grid: int) -> Tensor:
    """Centres of the ab cells that contain an sRGB colour, Q x 2, on the CPU.

    Only the surface of the RGB cube is sampled: colours with the same ab lie on a line, which leaves the cube through
    its surface. With a side of 10 there are 262 cells; the 313 of Zhang et al. (2016) include cells without any sRGB
    colour, which are never targets.

    Raises:
        SpaceError: `grid` is not from 2 to 50.
    """
    check_range("Colorization.grid", grid, 2, 50)
    steps = torch.linspace(0, 1, 193)
    u, v = torch.meshgrid(steps, steps, indexing="ij")
    ends = (torch.zeros_like(u), torch.ones_like(u))
    faces = torch.stack([torch.stack([u, v, end]).roll(axis, 0) for axis in range(3) for end in ends])
    a, b = (rgb_to_lab(faces)[:, 1:] / grid).round().long().transpose(0, 1).flatten(1)
    cells = torch.unique((a + 100) * 1000 + b + 100)  # sorting one number per cell is much faster than two
    return torch.stack([cells // 1000 - 100, cells % 1000 - 100], 1) * float(grid)


@lru_cache(maxsize=8)
def _cell_table(grid: int) -> Tensor:
    """Square table of the class of each ab cell, centred at a = b = 0.

    Cells without a class get the nearest one, because sampling may miss the most saturated colours.
    """
    bins = color_bins(grid)
    middle = int(bins.abs().max()) // grid + 1
    line = torch.arange(-middle, middle + 1) * float(grid)
    cells = torch.cartesian_prod(line, line)
    return torch.cdist(cells, bins).argmin(1).view(len(line), len(line))


def rgb_to_lab(images: Tensor) -> Tensor:
    """Convert sRGB images N x 3 x H x W in [0, 1] to CIE Lab (D65): L in [0, 100], a and b in [-110, 110]."""
    with torch.autocast(images.device.type, enabled=False):
        return _linear_to_lab(_linear_light(images))


def _linear_light(images: Tensor) -> Tensor:
    """Convert sRGB to linear light (IEC 61966-2-1)."""
    images = images.float().clamp(0, 1)
    return torch.where(images <= 0.04045, images / 12.92, ((images + 0.055) / 1.055) ** 2.4)


def _perceived(light: Tensor) -> Tensor:
    """The cube root of CIE Lab, which is linear near zero."""
    edge = (6 / 29) ** 3
    return torch.where(light > edge, light.clamp_min(edge) ** (1 / 3), light / (3 * (6 / 29) ** 2) + 4 / 29)


def _linear_to_lab(linear: Tensor) -> Tensor:
    matrix = linear.new_tensor(_TO_XYZ)
    x, y, z = _perceived(torch.einsum("dc,nchw->ndhw", matrix, linear)).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)
