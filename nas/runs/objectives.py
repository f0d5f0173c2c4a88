"""What else than mIoU a search may look at: costs by name, fronts, and the attributes that they are kept in."""

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
    "crowding",
    "estimated_costs",
    "fronts",
    "standing",
]

MIOU = "miou"

COSTS = {"params": "params", "macs": "macs", "latency": "latency_ms", "memory": "peak_mb", "seconds": "seconds"}
"""Objectives to minimize, and the field of a trial's record that holds each.

Multiply-adds and latency are those of one image, latency in milliseconds on the device that trains or on that of
`--latency-on`, beside other trainings; memory is the peak of the training in megabytes; seconds are those of a full
training.
"""


def checked_objectives(names: Sequence[str]) -> tuple[str, ...]:
    """The objectives.

    Raises:
        UserError: when one is unknown or given twice, or mIoU is not the first.
    """
    known = ", ".join([MIOU, *COSTS])
    for name in names:
        if name not in (MIOU, *COSTS):
            raise UserError(f"--objectives: {name!r} is unknown; choose from {known}")
    if not names or names[0] != MIOU:
        raise UserError(f"--objectives {','.join(names)}: put {MIOU} first, then what it is to be weighed against")
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
    """N x K points, the larger the better, of mIoU and the costs of N trials."""
    points = np.array(values, dtype=float)
    points[:, 1:] *= -1.0
    return points


def fronts(points: np.ndarray) -> np.ndarray:
    """The front of each of N x K points, the larger the better: 0 where none dominates it, and so on inwards.

    A point dominates another when it is nowhere worse and somewhere better.
    """
    found = np.full(len(points), -1)
    no_worse = (points[:, None] >= points[None]).all(axis=2)
    better = np.logical_and(no_worse, np.any(points[:, None] > points[None], axis=2))
    level = 0
    while (left := found < 0).any():
        found[left & ~better[left].any(axis=0)] = level
        level += 1
    return found


def crowding(points: np.ndarray) -> np.ndarray:
    """How alone each of N x K points of one front is: infinite at its ends (Deb et al. 2002, section III-B).

    An infinite coordinate counts as the outermost finite one.
    """
    found = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        known = column[np.isfinite(column)]
        column = np.clip(column, known.min(), known.max()) if len(known) else np.zeros(len(column))
        spread = float(column[order[-1]] - column[order[0]]) or 1.0
        found[order[[0, -1]]] = np.inf
        found[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / spread
    return found


def standing(points: np.ndarray) -> np.ndarray:
    """The place of each of N x K points, 0 being the first: by front, and within a front the more alone the better."""
    front, alone = fronts(points), np.zeros(len(points))
    for level in range(int(front.max(initial=-1)) + 1):
        alone[front == level] = crowding(points[front == level])
    places = np.empty(len(points), dtype=int)
    places[np.lexsort((-alone, front))] = np.arange(len(points))
    return places
