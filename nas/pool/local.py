"""LocalPool: worker processes on this machine, replaced when they die or hang."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from types import TracebackType
from typing import Any

from nas.interrupt import check
from nas.pool.devices import cpu_count, visible_gpus
from nas.pool.guard import UNGUARDED, UnguardedError, check_guard
from nas.pool.protocol import (
    Done,
    Ended,
    Failed,
    Infeasible,
    Job,
    Lost,
    Message,
    PoolError,
    Requeued,
    Rung,
    Started,
    Work,
)
from nas.pool.worker import one_line, serve

__all__ = ["LocalPool"]

_SPAWN = multiprocessing.get_context("spawn")

_SETUP_TRIES = 3
_SETUP_LIMIT = 1800.0
_CLOSE_GRACE = 1.0
_NAP = 0.2
"""Seconds for which a wait is deaf to an interrupt."""


class LocalPool:
    """A `Pool` of persistent processes, one a CPU core or `workers_per_gpu` a GPU.

    A worker that dies, or that has a job and gives no sign of life for `hang_after` seconds, is
    killed and replaced, and its job runs again once. Time spent waiting for an answer is not silence.

    Processes are spawned, so a script that makes a pool needs `if __name__ == "__main__":`. Each
    inherits its environment at birth: the one GPU it sees (or none), the number of its math
    threads (one on the CPU, a fair share of the cores beside a GPU), and a fixed hash seed, so
    that results depend neither on the worker nor on what runs beside it.

    Args:
        work: what the workers do.
        slots: how many workers; by default one a core, or `workers_per_gpu` for each GPU.
        workers_per_gpu: workers that share a GPU, and its memory evenly; used when `slots` is not given.
        hang_after: seconds of silence that make a busy worker hung; None waits for ever.
        gpus: CUDA_VISIBLE_DEVICES values to spread the slots over; by default every visible GPU,
            and none for the CPU: `gpus=()`.

    Raises:
        ValueError: no slot at all.
        UnguardedError: the script lacks its guard; so does `messages`, where only a worker finds out.
    """

    def __init__(
        self,
        work: Work,
        slots: int | None = None,
        workers_per_gpu: int = 1,
        hang_after: float | None = 1800.0,
        gpus: Sequence[str] | None = None,
    ) -> None:
        check_guard()
        gpus = visible_gpus() if gpus is None else gpus
        if slots is None:
            slots = workers_per_gpu * len(gpus) if gpus else cpu_count()
        if slots < 1:
            raise ValueError(f"a pool needs at least one slot, not {slots}")
        self.slots = slots
        self._hang_after = hang_after
        self._tasks: dict[int, _Task] = {}
        self._queue: deque[_Task] = deque()
        self._outbox: list[Message] = []
        self._error: PoolError | None = None
        self._closed = False
        threads = max(1, cpu_count() // slots) if gpus else 1
        pickled = pickle.dumps(work)
        self._slots: list[_Slot] = []
        try:
            for i in range(slots):
                check()
                gpu = gpus[i % len(gpus)] if gpus else None
                sharers = len(range(i % len(gpus), slots, len(gpus))) if gpus else slots
                self._slots.append(_Slot(i, gpu, threads, sharers, pickled))
                self._slots[i].start()
        except BaseException:
            self.close()
            raise

    def submit(self, job: Job) -> None:
        if self._closed:
            raise ValueError("the pool is closed")
        if job.id in self._tasks:
            raise ValueError(f"job {job.id} is not finished yet: give the new one another id")
        task = _Task(job, pickle.dumps(job.payload))
        self._tasks[job.id] = task
        self._queue.append(task)

    def idle(self) -> int:
        return max(0, self.slots - len(self._tasks))

    def messages(self, timeout: float) -> list[Message]:
        if self._closed:
            raise ValueError("the pool is closed")
        until = time.monotonic() + timeout
        while True:
            check()
            if self._error is None:
                self._collect()
            if self._outbox:
                # Messages wait in the outbox, so that a Ctrl-C on the way here loses none.
                found, self._outbox = self._outbox, []
                return found
            if self._error is not None:
                raise self._error
            now = time.monotonic()
            if now >= until:
                return []
            wake = min([until, now + _NAP, *(slot.patience(self._hang_after) for slot in self._slots)])
            connection.wait([end for slot in self._slots for end in slot.ends()], max(0.0, wake - now))

    def answer(self, job_id: int, go_on: bool) -> None:
        for slot in self._slots:
            if slot.asking and slot.task is not None and slot.task.job.id == job_id:
                slot.answer(go_on)

    def cancel(self, job_id: int) -> None:
        task = self._tasks.pop(job_id, None)
        if task is None:
            return
        # A job cannot be interrupted in the middle of a step: the worker that runs it is replaced.
        for slot in self._slots:
            if slot.task is task:
                slot.stop()
                slot.renew()
                slot.start()
        if task in self._queue:
            self._queue.remove(task)
        self._outbox = [message for message in self._outbox if message.job.id != job_id]

    def close(self) -> None:
        self._closed = True
        try:
            started = [slot.process for slot in self._slots if slot.process.pid is not None]
            for process in started:
                process.terminate()
            until = time.monotonic() + _CLOSE_GRACE
            for process in started:
                process.join(max(0.0, until - time.monotonic()))
        finally:
            for slot in self._slots:
                slot.stop()

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _collect(self) -> None:
        """Read every pipe, replace the dead and the hung, hand out queued jobs."""
        for slot in self._slots:
            alive = slot.process.is_alive()
            # Asked before the pipe is read: a worker's last words come before its death.
            open_pipe = self._read(slot)
            if not alive or not open_pipe:
                self._bury(slot, slot.cause_of_death())
            elif time.monotonic() >= slot.patience(self._hang_after):
                self._bury(slot, f"silent for {time.monotonic() - slot.heard:.0f} s")
        for slot in self._slots:
            if self._queue and slot.ready and slot.take(self._queue[0]):
                self._queue.popleft()

    def _read(self, slot: _Slot) -> bool:
        """Take in all that the worker has said; False when its end of the pipe is closed."""
        try:
            while slot.pipe.poll():
                self._heard(slot, *slot.pipe.recv())
        except (EOFError, OSError):
            return False
        return True

    def _heard(self, slot: _Slot, kind: str, *rest: Any) -> None:
        slot.heard = time.monotonic()
        task = slot.task
        if kind == "ready":
            slot.ready = True
        elif kind == "broken":
            slot.last_words, slot.traceback = rest
        elif task is None:
            raise AssertionError(f"worker {slot.name} says {kind} without a job")
        elif kind == "started":
            task.started, slot.failures = True, 0
            self._outbox.append(Started(task.job, slot.name))
        elif kind == "rung":
            slot.asking = True
            self._outbox.append(Rung(task.job, *rest))
        elif kind != "heartbeat":
            slot.task = None
            del self._tasks[task.job.id]
            self._outbox.append(_ENDS[kind](task.job, *rest))

    def _bury(self, slot: _Slot, reason: str) -> None:
        """Replace a worker, and run its job again unless that was the second one to die on it."""
        task = slot.task
        unguarded = slot.process.exitcode == UNGUARDED and not slot.ready and task is None
        slot.stop()
        if unguarded:
            self._error = UnguardedError()
            return
        if task is None:
            slot.failures += 1
        elif not task.started:
            # Sent to a worker that was dying already: no fault of the job's.
            slot.failures += 1
            self._queue.appendleft(task)
        elif task.again:
            del self._tasks[task.job.id]
            self._outbox.append(Lost(task.job, reason))
        else:
            task.started, task.again = False, True
            self._queue.appendleft(task)
            self._outbox.append(Requeued(task.job, reason))
        if slot.failures < _SETUP_TRIES:
            slot.renew()
            slot.start()
        else:
            self._error = PoolError(
                f"worker {slot.name} could not be set up in {slot.failures} tries: {reason}", slot.traceback
            )


@dataclass
class _Task:
    """A job on its way through the pool."""

    job: Job
    payload: bytes
    started: bool = False
    again: bool = False


class _Slot:
    """One place for a worker: the process that fills it now, and what is known of it.

    A pipe a worker and no shared queue: a process killed while it holds a queue's lock would
    leave every other worker waiting for it.
    """

    def __init__(self, index: int, gpu: str | None, threads: int, sharers: int, work: bytes) -> None:
        self.name = f"cpu-{index}" if gpu is None else f"cuda:{gpu}-{index}"
        self.failures = 0
        self.traceback = ""
        self._arguments = (work, "cpu" if gpu is None else "cuda:0", threads, sharers)
        self._environment = {
            "CUDA_VISIBLE_DEVICES": gpu or "",
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": str(threads),
            "PYTHONHASHSEED": "0",
            # Repeatable sums, which cuBLAS only asks about when it is first used.
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
            # glibc otherwise hands every activation's pages back and faults them in again, step after step.
            "MALLOC_MMAP_THRESHOLD_": "1000000000",
            "MALLOC_TRIM_THRESHOLD_": "2000000000",
        }
        self.renew()

    def renew(self) -> None:
        """Prepare a new worker, which is known to the pool before it is born: a Ctrl-C orphans none."""
        self.task: _Task | None = None
        self.ready = self.asking = False
        self.last_words = ""
        self.heard = time.monotonic()
        self.pipe, self._theirs = _SPAWN.Pipe()
        # A daemon, so that an interpreter which ends without closing the pool does not wait for it.
        self.process = _SPAWN.Process(
            target=serve, args=(self._theirs, *self._arguments), name=f"nas-worker-{self.name}", daemon=True
        )

    def start(self) -> None:
        # Our copy of the worker's end is closed at once, so that its death closes the pipe.
        with self._theirs, _birth(self._environment):
            self.process.start()

    def stop(self) -> None:
        if self.process.pid is not None:
            self.process.kill()
            self.process.join()
        self.pipe.close()
        self.ready = self.asking = False

    def ends(self) -> list[Any]:
        return [self.pipe, self.process.sentinel]

    def take(self, task: _Task) -> bool:
        """Give the worker a job; False when it has died, which the next look at it will tell."""
        try:
            self.pipe.send_bytes(task.payload)
        except OSError:
            return False
        self.task, self.ready = task, False
        self.heard = time.monotonic()
        return True

    def answer(self, go_on: bool) -> None:
        self.asking = False
        self.heard = time.monotonic()
        with suppress(OSError):
            self.pipe.send(go_on)

    def patience(self, hang_after: float | None) -> float:
        """When (on the monotonic clock) the worker counts as hung unless it says something."""
        if self.task is not None and not self.asking:
            return float("inf") if hang_after is None else self.heard + hang_after
        return float("inf") if self.ready or self.asking else self.heard + _SETUP_LIMIT

    def cause_of_death(self) -> str:
        # Its pipe can close a moment before the process is gone, and only then is there an exit code.
        self.process.join(1.0)
        code = self.process.exitcode
        if self.last_words:
            return self.last_words
        if code is None:
            return "stopped listening"
        if code < 0:
            return f"killed by {_signal_name(-code)}"
        if code == 1 and not self.ready and self.task is None:
            # What a script without the guard leaves of itself when its child runs it again.
            return 'exited with code 1 (does the script lack `if __name__ == "__main__":`?)'
        return f"exited with code {code}"


def _done(job: Job, pickled: bytes) -> Done | Failed:
    try:
        return Done(job, pickle.loads(pickled))
    except Exception as error:
        return Failed(job, f"its result cannot be read: {one_line(error)}", "")


_ENDS: dict[str, Callable[..., Ended]] = {"done": _done, "failed": Failed, "infeasible": Infeasible, "lost": Lost}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@contextmanager
def _birth(environment: dict[str, str]) -> Iterator[None]:
    """What a child is to inherit: an environment, and SIGINT held back until it can ignore it.

    Set in this process for the moment of the spawn, since a child imports the main script, and with
    it maybe torch, before it runs any code of ours. A Ctrl-C in that moment is delivered at the end.
    """
    # Starting the tracker would release SIGINT again (Python < 3.13), so it is started before.
    resource_tracker.ensure_running()
    before = {name: os.environ.get(name) for name in environment}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        os.environ.update(environment)
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
