"""Assign units (single images, or groups that stay together) to parts, with every class in every part if possible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Penalty", "assign_by_size", "swap_for_classes"]

MOST_PARTNERS = 200
"""Largest number of units that a unit is tried to be swapped with."""

MOST_SWEEPS = 20
"""Largest number of sweeps over all units; one or two are usually enough."""

Penalty = Callable[[np.ndarray], np.ndarray]
"""From the number of units that show each class (parts x classes) to a penalty of each class, 0 for no fault."""


def assign_by_size(sizes: np.ndarray, wanted: np.ndarray, seed: int) -> np.ndarray:
    """Assign units to parts, the largest first, each to the part that lacks most images.

    Args:
        sizes: number of images of each unit.
        wanted: number of images that each part should get. Every part gets at least one unit if there are enough.
        seed: seed of the order of units of equal size.

    Returns:
        The part of each unit.
    """
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    missing = np.array(wanted, float)
    part = np.zeros(len(sizes), np.int64)
    empty = set(range(len(wanted)))
    for place, unit in enumerate(order):
        candidates = sorted(empty) if len(order) - place <= len(empty) else range(len(wanted))
        chosen = max(candidates, key=lambda index: missing[index])
        part[unit] = chosen
        missing[chosen] -= sizes[unit]
        empty.discard(chosen)
    return part


def swap_for_classes(
    part: np.ndarray, presence: np.ndarray, sizes: np.ndarray, wanted: np.ndarray, penalty: Penalty, seed: int
) -> None:
    """Swap units between parts, in place, until no swap lowers the penalty.

    Args:
        part: the part of each unit.
        presence: which classes each unit shows, units x classes, bool.
        sizes: number of images of each unit.
        wanted: number of images that each part should have.
        penalty: what to minimize. Of swaps with equal penalties, the one that keeps the parts closest to `wanted` is
            made.
        seed: seed of the order in which swaps are tried.
    """
    rng = np.random.default_rng(seed)
    counts = np.stack([presence[part == index].sum(0) for index in range(len(wanted))]).astype(np.int64)
    filled = np.array([sizes[part == index].sum() for index in range(len(wanted))], float)
    assignment = _Assignment(part, presence.astype(np.int64), sizes, wanted, penalty, counts, filled)
    for _ in range(MOST_SWEEPS):
        if not assignment.sweep(rng):
            break


@dataclass
class _Assignment:
    """Units in parts, and what each part holds; see `swap_for_classes`.

    Attributes:
        counts: number of units of each part that show each class, parts x classes.
        filled: number of images of each part.
    """

    part: np.ndarray
    presence: np.ndarray
    sizes: np.ndarray
    wanted: np.ndarray
    penalty: Penalty
    counts: np.ndarray
    filled: np.ndarray

    def sweep(self, rng: np.random.Generator) -> bool:
        """Try to swap each unit of a penalized class; return whether any swap helped."""
        helped = False
        penalized = np.flatnonzero(self.penalty(self.counts) > 0)
        for unit in np.flatnonzero(self.presence[:, penalized].any(1)):
            best = self._cost(self.counts, self.filled)
            found: tuple[int, np.ndarray, np.ndarray] | None = None
            partners = np.flatnonzero(self.part != self.part[unit])
            for other in rng.permutation(partners)[:MOST_PARTNERS]:
                counts, filled = self._after_swap(int(unit), int(other))
                cost = self._cost(counts, filled)
                if cost[0] < best[0] or (found is not None and cost < best):
                    best, found = cost, (int(other), counts, filled)
            if found is not None:
                other, self.counts, self.filled = found
                self.part[unit], self.part[other] = self.part[other], self.part[unit]
                helped = True
        return helped

    def _cost(self, counts: np.ndarray, filled: np.ndarray) -> tuple[float, float]:
        return float(self.penalty(counts).sum()), float(((filled - self.wanted) ** 2).sum())

    def _after_swap(self, unit: int, other: int) -> tuple[np.ndarray, np.ndarray]:
        """`counts` and `filled` as they would be after a swap of two units."""
        classes, images = self.presence[other] - self.presence[unit], self.sizes[other] - self.sizes[unit]
        counts, filled = self.counts.copy(), self.filled.copy()
        counts[self.part[unit]] += classes
        counts[self.part[other]] -= classes
        filled[self.part[unit]] += images
        filled[self.part[other]] -= images
        return counts, filled
