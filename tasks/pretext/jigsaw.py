"""Jigsaw: classify the order of an image's shuffled tiles."""

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

__all__ = ["Jigsaw", "cut_tiles", "far_permutations", "join_tiles", "normalised"]

TILE_SHARE = 64 / 75
"""Height and width of a tile as a share of its cell (Noroozi & Favaro 2016). Without gaps between tiles, edges that
continue across a border would reveal adjacent tiles."""


@dataclass(frozen=True)
class Jigsaw(Component):
    """Classify which of a fixed set of permutations an image's tiles are in (Noroozi & Favaro 2016).

    Attributes:
        grid: tiles per side, 2 or 3. Use 2 for images whose tiles would otherwise be smaller than about 16 pixels.
        permutations: number of permutations, at most (grid^2)!, chosen far from each other.
        weight: weight of the loss.
    """

    grid: int = 3
    permutations: int = 64
    weight: float = 1.0

    def canonical(self) -> Jigsaw:
        """Limit the permutations to those that exist: 24 for a 2 x 2 grid."""
        return Jigsaw(self.grid, self._classes(), self.weight)

    def head(self, channels: Sequence[int], reductions: Sequence[int]) -> nn.Module:
        """Build the head from features to logits N x permutations."""
        return TileHead(channels, self.grid, self._classes())

    def make_batch(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return images of shuffled tiles, smaller than the given ones, and indices of permutations, N int64.

        Raises:
            SpaceError: the images have fewer pixels per side than the grid has tiles.
        """
        if min(images.shape[-2:]) < self.grid:
            height, width = images.shape[-2:]
            raise SpaceError(
                f"Jigsaw: images of {height}x{width} pixels have no {self.grid} tiles per side, use larger images"
            )
        orders = torch.from_numpy(far_permutations(self.grid, self._classes()))
        labels = torch.randint(len(orders), (images.shape[0],), generator=generator)
        chosen = orders[labels].to(images.device, non_blocking=True)
        tiles = normalised(cut_tiles(images, self.grid, generator))
        each = torch.arange(images.shape[0], device=images.device).unsqueeze(1)
        return join_tiles(tiles[each, chosen], self.grid), labels.to(images.device, non_blocking=True)

    def loss(self, prediction: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy over the permutations."""
        return F.cross_entropy(prediction.float(), targets)

    def metric(self, prediction: Tensor, targets: Tensor) -> float:
        """Accuracy over images."""
        return float((prediction.argmax(1) == targets).float().mean())

    def _classes(self) -> int:
        check_one_of("Jigsaw.grid", self.grid, (2, 3))
        check_range("Jigsaw.permutations", self.permutations, 2, 1000)
        return min(self.permutations, factorial(self.grid**2))


@lru_cache(maxsize=8)
def far_permutations(grid: int, count: int) -> np.ndarray:
    """Choose permutations of grid^2 tiles, count x grid^2 int64, far from each other in Hamming distance.

    The choice is greedy and deterministic. It starts with the identity and adds the permutation with the largest
    minimum distance to those chosen. Ties are broken by mean distance, then by lexicographic order.
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
        # Totals are less than 10,000, so this ranks by minimum distance first and mean distance second.
        chosen.append(int(np.argmax(least * 10_000 + total)))
    return orders[chosen].astype(np.int64)


def cut_tiles(images: Tensor, grid: int, generator: torch.Generator) -> Tensor:
    """Cut a tile at a random position from each cell of a grid, row by row, N x grid^2 x 3 x h x w."""
    cells = [length // grid for length in images.shape[-2:]]
    height, width = (max(int(TILE_SHARE * cell), 1) for cell in cells)
    count = len(images)
    shape = (count, grid * grid, 1)
    place = torch.arange(grid * grid).view(1, -1, 1)
    top = torch.randint(cells[0] - height + 1, shape, generator=generator) + place // grid * cells[0]
    left = torch.randint(cells[1] - width + 1, shape, generator=generator) + place % grid * cells[1]
    rows = (top + torch.arange(height)).to(images.device, non_blocking=True)
    columns = (left + torch.arange(width)).to(images.device, non_blocking=True)
    each = torch.arange(count, device=images.device).view(-1, 1, 1, 1)
    # Indexed dimensions come first: N x grid^2 x h x w x 3.
    return images.permute(0, 2, 3, 1)[each, rows.unsqueeze(3), columns.unsqueeze(2)].permute(0, 1, 4, 2, 3)


def normalised(tiles: Tensor) -> Tensor:
    """Normalize tiles ... x 3 x h x w.

    Each channel of each tile gets the same mean and standard deviation, because colour and brightness would reveal
    adjacent tiles. The values are those of natural images in [0, 1], so that the network normalizes tiles to about
    mean 0 and standard deviation 1.
    """
    variance, mean = torch.var_mean(tiles.float(), (-2, -1), correction=0, keepdim=True)
    return 0.45 + 0.225 * (tiles - mean) * (variance + 1e-4).rsqrt()


def join_tiles(tiles: Tensor, grid: int) -> Tensor:
    """Arrange tiles N x grid^2 x 3 x h x w row by row to images N x 3 x (grid h) x (grid w)."""
    count, _, channels, h, w = tiles.shape
    laid = tiles.reshape(count, grid, grid, channels, h, w).permute(0, 3, 1, 4, 2, 5)
    return laid.reshape(count, channels, grid * h, grid * w)
