"""Jigsaw: cut an image into tiles, shuffle them, and tell the order they were put in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, permutations
from math import factorial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.space.checks import check_one_of, check_range
from nas.space.component import Component, SpaceError
from nas.tasks.pretext.heads import TileHead

__all__ = ["Jigsaw", "far_permutations", "join_tiles", "normalised_tiles"]


@dataclass(frozen=True)
class Jigsaw(Component):
    """Classifies which of a fixed set of orders an image's tiles are in (Noroozi & Favaro 2016).

    Attributes:
        grid: tiles to a side, 2 or 3; 2 suits images whose ninths would be under about 16 pixels.
        permutations: number of orders, at most (grid^2)!, chosen far from each other.
        weight: of this task's loss in the total.
    """

    grid: int = 3
    permutations: int = 64
    weight: float = 1.0

    def canonical(self) -> Jigsaw:
        """A 2 x 2 grid has 24 orders, however many are asked for."""
        return Jigsaw(self.grid, self._classes(), self.weight)

    def head(self, channels: Sequence[int], reductions: Sequence[int]) -> nn.Module:
        """From features to logits over the orders, N x permutations."""
        return TileHead(channels, self.grid, self._classes())

    def make_batch(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Shuffled images cropped to a multiple of the grid; targets are the orders' numbers, N int64.

        Raises:
            SpaceError: the images have fewer pixels to a side than the grid has tiles.
        """
        if min(images.shape[-2:]) < self.grid:
            height, width = images.shape[-2:]
            raise SpaceError(
                f"Jigsaw: images of {height}x{width} pixels cannot be cut {self.grid} ways, use larger images"
            )
        orders = torch.from_numpy(far_permutations(self.grid, self._classes()))
        labels = torch.randint(len(orders), (images.shape[0],), generator=generator)
        chosen = orders[labels].to(images.device, non_blocking=True)
        tiles = normalised_tiles(images, self.grid)
        each = torch.arange(images.shape[0], device=images.device).unsqueeze(1)
        return join_tiles(tiles[each, chosen], self.grid), labels.to(images.device, non_blocking=True)

    def loss(self, prediction: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy over the orders."""
        return F.cross_entropy(prediction.float(), targets)

    def metric(self, prediction: Tensor, targets: Tensor) -> float:
        """Share of images whose order is told right."""
        return float((prediction.argmax(1) == targets).float().mean())

    def _classes(self) -> int:
        check_one_of("Jigsaw.grid", self.grid, (2, 3))
        check_range("Jigsaw.permutations", self.permutations, 2, 1000)
        return min(self.permutations, factorial(self.grid**2))


@lru_cache(maxsize=8)
def far_permutations(grid: int, count: int) -> np.ndarray:
    """Orders of grid^2 tiles, count x grid^2 int64, far from each other in Hamming distance.

    Greedy and without chance: the first is the order untouched, each next one is the one whose
    least distance to those chosen is largest; of several, the one with the largest mean distance,
    and of those the first in lexicographic order.
    """
    tiles = grid * grid
    flat = chain.from_iterable(permutations(range(tiles)))
    orders = np.fromiter(flat, np.int8, factorial(tiles) * tiles).reshape(-1, tiles)
    places = np.ascontiguousarray(orders.T)
    least = np.full(len(orders), tiles, np.int32)
    total = np.zeros(len(orders), np.int32)
    chosen = [0]
    while len(chosen) < count:
        distance = np.zeros(len(orders), np.int8)
        for place, tile in zip(places, orders[chosen[-1]], strict=True):
            distance += place != tile
        np.minimum(least, distance, out=least)
        total += distance
        # Totals stay under 1001 x 9, so one number ranks by least distance first and mean second.
        chosen.append(int(np.argmax(least * 10_000 + total)))
    return orders[chosen].astype(np.int64)


def normalised_tiles(images: Tensor, grid: int) -> Tensor:
    """Tiles row by row, N x grid^2 x 3 x h x w, each channel of each tile brought to one mean and spread.

    Without it colour and brightness would give neighbours away. The mean and spread are those of
    natural images in [0, 1], so the network's own normalisation leaves the tiles near mean 0 and deviation 1.
    """
    count, channels, height, width = images.shape
    h, w = height // grid, width // grid
    cut = images[..., : h * grid, : w * grid].reshape(count, channels, grid, h, grid, w)
    tiles = cut.permute(0, 2, 4, 1, 3, 5).reshape(count, grid * grid, channels, h, w)
    variance, mean = torch.var_mean(tiles.float(), (3, 4), correction=0, keepdim=True)
    return 0.45 + 0.225 * (tiles - mean) * (variance + 1e-4).rsqrt()


def join_tiles(tiles: Tensor, grid: int) -> Tensor:
    """Tiles N x grid^2 x 3 x h x w laid out row by row, N x 3 x grid h x grid w."""
    count, _, channels, h, w = tiles.shape
    laid = tiles.reshape(count, grid, grid, channels, h, w).permute(0, 3, 1, 4, 2, 5)
    return laid.reshape(count, channels, grid * h, grid * w)
