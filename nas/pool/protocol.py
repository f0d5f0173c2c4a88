"""Interface of pools: jobs, messages, and the protocols `Pool`, `Work` and `Report`."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeAlias

from nas.errors import UserError

__all__ = [
    "Done",
    "Ended",
    "Failed",
    "Infeasible",
    "InfeasibleError",
    "Job",
    "Lost",
    "Message",
    "Pool",
    "PoolError",
    "Report",
    "Requeued",
    "Rung",
    "Started",
    "Work",
]


class PoolError(UserError):
    """A pool whose workers cannot be set up.

    Attributes:
        traceback: the worker's traceback; empty if the worker died without one.
    """

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


class InfeasibleError(Exception):
    """Raised by `Work.run` for a payload that violates a constraint. The job ends as `Infeasible`."""


@dataclass(frozen=True)
class Job:
    """A payload to run.

    Attributes:
        id: unique among the unfinished jobs of a pool.
        payload: picklable argument of `Work.run`.
    """

    id: int
    payload: Any


@dataclass(frozen=True)
class Started:
    """A worker has started the job. Sent again when the job is rerun."""

    job: Job
    worker: str


@dataclass(frozen=True)
class Rung:
    """An intermediate score. The worker waits for `Pool.answer`. A job that is rerun reports its rungs again."""

    job: Job
    step: int
    value: float


@dataclass(frozen=True)
class Done:
    """`run` returned, at its end or because it was told to stop."""

    job: Job
    result: Any


@dataclass(frozen=True)
class Failed:
    """`run` raised an error. `reason` is one line, `traceback` is the worker's."""

    job: Job
    reason: str
    traceback: str


@dataclass(frozen=True)
class Infeasible:
    """The job ran out of memory, or raised `InfeasibleError`."""

    job: Job
    reason: str


@dataclass(frozen=True)
class Lost:
    """The job could not be completed: two workers died while running it, or the disk is full."""

    job: Job
    reason: str


@dataclass(frozen=True)
class Requeued:
    """The worker died and the job will be rerun. Its unanswered rung is void."""

    job: Job
    reason: str


Ended: TypeAlias = Done | Failed | Infeasible | Lost
"""The last message of a job. Every submitted job ends with exactly one."""

Message: TypeAlias = Started | Rung | Requeued | Ended


class Report(Protocol):
    """Connection of a running job to its pool."""

    def __call__(self, step: int, value: float) -> bool:
        """Report an intermediate score and wait for the answer: whether to continue."""

    def heartbeat(self) -> None:
        """Signal that the job is running, so that its worker does not count as hung. May be called at any rate."""


class Work(Protocol):
    """The work of a pool's workers. The object is pickled to each worker process."""

    def setup(self, device: str) -> None:
        """Prepare a worker, once. `device` is "cpu", or "cuda:0" with a single GPU visible."""

    def run(self, payload: Any, report: Report) -> Any:
        """Run a payload and return its picklable result, which is partial if `report` returned False."""


class Pool(Protocol):
    """Runs jobs on `slots` workers. A context manager, for use by one thread."""

    slots: int

    def submit(self, job: Job) -> None:
        """Queue a job. It starts as soon as a slot is free.

        Raises:
            ValueError: an unfinished job has the same id, or the pool is closed.
        """

    def idle(self) -> int:
        """Count the slots without a running or queued job."""

    def messages(self, timeout: float) -> list[Message]:
        """Return all messages that have arrived, waiting up to `timeout` seconds for the first.

        Raises:
            PoolError: workers cannot be set up. Messages that were received before are returned first.
        """

    def answer(self, job_id: int, go_on: bool) -> None:
        """Answer a `Rung`. Ignored if the job does not wait for an answer, because its worker may have died."""

    def cancel(self, job_id: int) -> None:
        """Cancel a queued or running job. No further message of it arrives. Ignored if it has ended."""

    def close(self) -> None:
        """Stop all workers, busy or not, and wait until they have ended. May be called again."""

    def __enter__(self) -> Pool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
