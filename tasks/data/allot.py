"""Dealing units (images, or groups that stay together) out to parts so that the classes are spread over the parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["deal", "spread"]

PARTNERS = 200
"""Units that one unit is tried to be swapped with, at most."""

SWEEPS = 20
"""Rounds of swaps, at most; nearly always one or two suffice."""


def deal(sizes: np.ndarray, wanted: np.ndarray, seed: int) -> np.ndarray:
    """The part of each unit: large units first, each to the part that is furthest from what it should hold.

    Args:
        sizes: images of each unit.
        wanted: images that each part should hold; every part gets at least one unit where there are enough.
        seed: of the order of units of one size.
    """
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    left = np.array(wanted, float)
    part = np.zeros(len(sizes), np.int64)
    empty = set(range(len(wanted)))
    for place, unit in enumerate(order):
        open_parts = sorted(empty) if len(order) - place <= len(empty) else range(len(wanted))
        chosen = max(open_parts, key=lambda index: left[index])
        part[unit] = chosen
        left[chosen] -= sizes[unit]
        empty.discard(chosen)
    return part


def spread(
    part: np.ndarray,
    presence: np.ndarray,
    sizes: np.ndarray,
    wanted: np.ndarray,
    lacking: Callable[[np.ndarray], np.ndarray],
    seed: int,
) -> None:
    """Swap units between parts, in place, while classes are lacking.

    Args:
        part: the part of each unit.
        presence: whether a class is in a unit, units x classes, bool.
        sizes: images of each unit.
        wanted: images that each part should hold.
        lacking: from the number of units in each part that hold each class (parts x classes) to what is wrong with
            each class (classes), 0 where nothing is.
        seed: of the order in which swaps are tried.
    """
    rng = np.random.default_rng(seed)
    counts = np.stack([presence[part == index].sum(0) for index in range(len(wanted))]).astype(np.int64)
    filled = np.array([sizes[part == index].sum() for index in range(len(wanted))], float)
    for _ in range(SWEEPS):
        if not _sweep(presence.astype(np.int64), sizes, wanted, lacking, part, counts, filled, rng):
            break


def _sweep(
    presence: np.ndarray,
    sizes: np.ndarray,
    wanted: np.ndarray,
    lacking: Callable[[np.ndarray], np.ndarray],
    part: np.ndarray,
    counts: np.ndarray,
    filled: np.ndarray,
    rng: np.random.Generator,
) -> bool:
    """Swap units of the lacking classes where that helps, in place; whether any swap did."""
    helped = False
    wrong = np.flatnonzero(lacking(counts) > 0)
    for unit in np.flatnonzero(presence[:, wrong].any(1)):
        best = (float(lacking(counts).sum()), float(((filled - wanted) ** 2).sum()))
        found: tuple[int, np.ndarray, np.ndarray] | None = None
        partners = np.flatnonzero(part != part[unit])
        for other in rng.permutation(partners)[:PARTNERS]:
            change, grown = presence[other] - presence[unit], sizes[other] - sizes[unit]
            tried, full = counts.copy(), filled.copy()
            tried[part[unit]] += change
            tried[part[other]] -= change
            full[part[unit]] += grown
            full[part[other]] -= grown
            cost = (float(lacking(tried).sum()), float(((full - wanted) ** 2).sum()))
            if cost[0] < best[0] or (found is not None and cost < best):
                best, found = cost, (int(other), tried, full)
        if found is not None:
            other, counts[...], filled[...] = found
            part[unit], part[other] = part[other], part[unit]
            helped = True
    return helped
