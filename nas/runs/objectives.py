"""The objectives of a search: mIoU and costs by name, Pareto fronts and crowding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError

if TYPE_CHECKING:
    from nas.record import TrialRecord

__all__ = [
    "COSTS",
    "MIOU",
    "as_points",
    "checked_objectives",
    "costs",
    "crowded_comparison_ranks",
    "crowding_distances",
    "estimated_costs",
    "non_domination_ranks",
]

MIOU = "miou"

COSTS = {"params": "params", "macs": "macs", "latency": "latency_ms", "memory": "peak_mb", "seconds": "seconds"}
"""Objectives to minimize, and the field of a trial's record that holds each.

Multiply-adds and latency are of one image. Latency is in milliseconds, measured beside other trainings, on the device
that trains or on that of `--latency-on`. Memory is the peak of the training in megabytes, seconds the duration of a
full training.
"""


def checked_objectives(names: Sequence[str]) -> tuple[str, ...]:
    """Check the names of objectives, and return them.

    Raises:
        UserError: one is unknown or given twice, or mIoU is not the first.
    """
    known = ", ".join([MIOU, *COSTS])
    for name in names:
        if name not in (MIOU, *COSTS):
            raise UserError(f"--objectives: {name!r} is unknown; choose from {known}")
    if not names or names[0] != MIOU:
        raise UserError(f"--objectives {','.join(names)}: put {MIOU} first, then the costs")
    if len(set(names)) < len(names):
        raise UserError(f"--objectives {','.join(names)}: name each of them once")
    return tuple(names)


def costs(objectives: Sequence[str], record: TrialRecord) -> tuple[float, ...]:
    """The costs among the objectives, of a trial trained in full."""
    return tuple(float(getattr(record, COSTS[name])) for name in objectives if name != MIOU)


def estimated_costs(objectives: Sequence[str], record: TrialRecord) -> tuple[float, ...]:
    """The costs of a running trial. Multiply-adds stand in for what is measured at the end only."""
    return tuple(
        float(getattr(record, "params" if name == "params" else "macs")) for name in objectives if name != MIOU
    )


def as_points(values: Sequence[Sequence[float]]) -> np.ndarray:
    """N x K points to maximize, from the mIoU and the costs of N trials."""
    points = np.array(values, dtype=float)
    points[:, 1:] *= -1.0
    return points


def non_domination_ranks(points: np.ndarray) -> np.ndarray:
    """Rank N x K points to maximize: 0 on the Pareto front, 1 on the front of the others, and so on.

    A point dominates another when no objective is worse and at least one is better.
    """
    ranks = np.full(len(points), -1)
    no_worse = (points[:, None] >= points[None]).all(axis=2)
    dominates = np.logical_and(no_worse, np.any(points[:, None] > points[None], axis=2))
    rank = 0
    while (left := ranks < 0).any():
        ranks[left & ~dominates[left].any(axis=0)] = rank
        rank += 1
    return ranks


def crowding_distances(points: np.ndarray) -> np.ndarray:
    """Crowding distance of each of N x K points of one front, infinite at its ends (Deb et al. 2002, section III-B).

    An infinite coordinate counts as the outermost finite one.
    """
    distances = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        known = column[np.isfinite(column)]
        column = np.clip(column, known.min(), known.max()) if len(known) else np.zeros(len(column))
        spread = float(column[order[-1]] - column[order[0]]) or 1.0
        distances[order[[0, -1]]] = np.inf
        distances[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / spread
    return distances


def crowded_comparison_ranks(points: np.ndarray) -> np.ndarray:
    """Order N x K points to maximize by front, then by falling crowding distance, as NSGA-II does; 0 is the first."""
    front, distances = non_domination_ranks(points), np.zeros(len(points))
    for level in range(int(front.max(initial=-1)) + 1):
        distances[front == level] = crowding_distances(points[front == level])
    ranks = np.empty(len(points), dtype=int)
    ranks[np.lexsort((-distances, front))] = np.arange(len(points))
    return ranks
