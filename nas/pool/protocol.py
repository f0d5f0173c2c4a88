"""What a search and its pool say to each other: jobs, messages, and the two protocols around them."""

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
    """A pool that cannot go on: its workers do not get through their setup.

    Attributes:
        traceback: the worker's own traceback, empty where it died without a word.
    """

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


class InfeasibleError(Exception):
    """Raised by `Work.run` for a payload that breaks a constraint; the job ends as `Infeasible`."""


@dataclass(frozen=True)
class Job:
    """One payload to run.

    Attributes:
        id: unique among a pool's unfinished jobs.
        payload: what `Work.run` is given; picklable.
    """

    id: int
    payload: Any


@dataclass(frozen=True)
class Started:
    """A worker took the job; sent again when the job is run again."""

    job: Job
    worker: str


@dataclass(frozen=True)
class Rung:
    """A score on the way. The worker waits for `Pool.answer`; a job run again reports its rungs again."""

    job: Job
    step: int
    value: float


@dataclass(frozen=True)
class Done:
    """`run` returned, either at its end or after it was told to stop."""

    job: Job
    result: Any


@dataclass(frozen=True)
class Failed:
    """`run` raised; `reason` is one line, `traceback` the worker's own."""

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
    """No fault of the job's: a worker died on it, and so did the one that ran it again, or the disk is full."""

    job: Job
    reason: str


@dataclass(frozen=True)
class Requeued:
    """A worker died on the job, which will be run again; nothing to do but to forget its open rung."""

    job: Job
    reason: str


Ended: TypeAlias = Done | Failed | Infeasible | Lost
"""Every submitted job ends with exactly one of these."""

Message: TypeAlias = Started | Rung | Requeued | Ended


class Report(Protocol):
    """How a job speaks to the search."""

    def __call__(self, step: int, value: float) -> bool:
        """Report a score; waits for the search's answer and returns False once the job is to stop."""

    def heartbeat(self) -> None:
        """Say that the job goes on, so that it is not taken for hung; as often as you like."""


class Work(Protocol):
    """What a pool's workers do. The object is pickled to each worker process."""

    def setup(self, device: str) -> None:
        """Called once in each worker; `device` is "cpu", or "cuda:0" with a single GPU visible."""

    def run(self, payload: Any, report: Report) -> Any:
        """Run one payload and return its picklable result, partial when `report` returned False."""


class Pool(Protocol):
    """Runs jobs on `slots` workers. Used by one thread, through `with`."""

    slots: int

    def submit(self, job: Job) -> None:
        """Queue a job; it starts as soon as a slot is free.

        Raises:
            ValueError: an unfinished job has the same id, or the pool is closed.
        """

    def idle(self) -> int:
        """How many slots have no job, neither running nor queued for them."""

    def messages(self, timeout: float) -> list[Message]:
        """Every message that has arrived, waiting up to `timeout` seconds for a first one.

        Raises:
            PoolError: workers cannot be set up. Messages already received are handed out first.
        """

    def answer(self, job_id: int, go_on: bool) -> None:
        """Answer a `Rung`. Ignored when the job no longer waits, since its worker may have died."""

    def cancel(self, job_id: int) -> None:
        """Give up a job, queued or running; no further message of it arrives. Ignored when it has ended."""

    def close(self) -> None:
        """End every worker, busy or not, and wait until they are gone. May be called again."""

    def __enter__(self) -> Pool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
