"""Inpainting: restore erased squares of an image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.space.component import Component, SpaceError
from nas.tasks.pretext.heads import PixelHead, crop_to

__all__ = ["Inpainting", "erased_error", "psnr"]

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Inpainting(Component):
    """Restore erased squares, scored by mean squared error on them (Pathak et al. 2016).

    The number of holes is sampled for each image, from 1 to `holes`.

    Attributes:
        area: share of each image that its holes erase together.
        holes: maximum number of holes per image.
        weight: weight of the loss.
    """

    area: float = 0.2
    holes: int = 4
    weight: float = 1.0

    def head(self, channels: Sequence[int], reductions: Sequence[int]) -> nn.Module:
        """Build the head from features to RGB images N x 3 x H x W in [0, 1]."""
        return PixelHead(channels, reductions, out_channels=3, start=0.5)

    def make_batch(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return images with holes in their mean colour; targets are the images and the holes, N x 1 x H x W bool.

        Raises:
            SpaceError: `area` is not in (0, 0.9], or `holes` is less than 1.
        """
        if not 0 < self.area <= 0.9 or self.holes < 1:
            raise SpaceError(
                f"Inpainting: area is {self.area} and holes {self.holes}, use an area in (0, 0.9] and at least 1 hole"
            )
        holes = self._holes(images.shape[0], images.shape[-2], images.shape[-1], generator)
        holes = holes.to(images.device, non_blocking=True)
        inputs = torch.where(holes, images.mean((2, 3), keepdim=True), images)
        return inputs, (images, holes)

    def loss(self, prediction: Tensor, targets: tuple[Tensor, Tensor]) -> Tensor:
        """Mean squared error on the holes."""
        images, holes = targets
        return erased_error(crop_to(prediction, images.shape[-2:]), images, holes)

    def metric(self, prediction: Tensor, targets: tuple[Tensor, Tensor]) -> float:
        """Peak signal-to-noise ratio on the holes, in dB."""
        return psnr(float(self.loss(prediction.detach(), targets)))

    def _holes(self, count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """Sample the holes of each image, N x 1 x H x W bool.

        An image is divided into cells of equal area, one per hole. Holes never overlap, so the erased area is `area`.
        """
        masks = torch.zeros(count, 1, height, width, dtype=torch.bool)
        numbers = torch.randint(1, self.holes + 1, (count,), generator=generator).tolist()
        for mask, number in zip(masks, numbers, strict=True):
            random = torch.rand(number, 3, generator=generator).tolist()
            turns = (values[2] < 0.5 for values in random)
            for cell, (down, right, _) in zip(_cells((0.0, 0.0, height, width), number, turns), random, strict=True):
                top, left, h, w = _hole(cell, self.area, down, right)
                mask[:, top : top + h, left : left + w] = True
        return masks


def _cells(box: Box, number: int, turns: Iterator[bool]) -> list[Box]:
    """Divide a box (top, left, height, width) into cells of equal area, cutting across the longer side recursively."""
    if number == 1:
        return [box]
    top, left, height, width = box
    first = number // 2 if next(turns) else number - number // 2
    share = first / number
    if height > width:
        cut = height * share
        halves: tuple[Box, Box] = (top, left, cut, width), (top + cut, left, height - cut, width)
    else:
        cut = width * share
        halves = (top, left, height, cut), (top, left + cut, height, width - cut)
    return _cells(halves[0], first, turns) + _cells(halves[1], number - first, turns)


def _hole(cell: Box, area: float, down: float, right: float) -> tuple[int, int, int, int]:
    """Place a hole of the given area in a cell: a square, or a rectangle if the cell is too narrow."""
    top, left, height, width = cell
    size = area * height * width
    side = math.sqrt(size)
    h = min(height, max(side, size / width))
    rows, columns = max(1, round(h)), max(1, round(size / h))
    return _place(top, top + height, rows, down), _place(left, left + width, columns, right), rows, columns


def _place(low: float, high: float, length: int, draw: float) -> int:
    """Choose the start of a range of pixels within [low, high], uniformly among whole positions."""
    first = math.ceil(low)
    return first + math.floor(draw * max(1, math.floor(high) - length - first + 1))


def erased_error(prediction: Tensor, images: Tensor, where: Tensor) -> Tensor:
    """Mean squared error over the pixels where the mask `where`, N x 1 x H x W, is True, in float32."""
    error = (prediction.float() - images.float()).square() * where
    return error.sum() / (where.sum() * images.shape[1]).clamp_min(1)


def psnr(mean_squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB for pixels in [0, 1], at most 100."""
    return -10 * math.log10(max(mean_squared_error, 1e-10))
