"""Pools of worker processes: jobs go in, messages come out, and a worker may die at any time."""

from __future__ import annotations

from nas.pool.devices import visible_gpus
from nas.pool.guard import UnguardedError, check_guard
from nas.pool.local import LocalPool
from nas.pool.protocol import (
    Done,
    Ended,
    Failed,
    Infeasible,
    InfeasibleError,
    Job,
    Lost,
    Message,
    Pool,
    PoolError,
    Report,
    Requeued,
    Rung,
    Started,
    Work,
)

__all__ = [
    "Done",
    "Ended",
    "Failed",
    "Infeasible",
    "InfeasibleError",
    "Job",
    "LocalPool",
    "Lost",
    "Message",
    "Pool",
    "PoolError",
    "Report",
    "Requeued",
    "Rung",
    "Started",
    "UnguardedError",
    "Work",
    "check_guard",
    "visible_gpus",
]
