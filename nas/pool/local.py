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
_SETUP_TIMEOUT = 1800.0
_CLOSE_TIMEOUT = 1.0
_POLL_INTERVAL = 0.2
"""Maximum seconds until a wait notices an interrupt."""


class LocalPool:
    """A `Pool` of persistent processes: one per CPU core, or `workers_per_gpu` per GPU.

    A worker that dies, or that is busy and sends no heartbeat for `hang_after` seconds, is killed and replaced, and its
    job is rerun once. Time spent waiting for an answer does not count.

    Processes are spawned, so a script that creates a pool needs `if __name__ == "__main__":`. Their environment sets
    the GPU they see (or none), the number of math threads (one on the CPU, an equal share of the cores beside a GPU)
    and a fixed hash seed, so that results depend neither on the worker nor on other workers.

    Args:
        work: the work of the workers.
        slots: number of workers; by default one per core, or `workers_per_gpu` per GPU.
        workers_per_gpu: workers that share a GPU, and its memory evenly, if `slots` is not given.
        hang_after: seconds without a heartbeat after which a busy worker counts as hung; None for no limit.
        gpus: CUDA_VISIBLE_DEVICES values to distribute the slots over; by default all visible GPUs; `()` for the CPU.

    Raises:
        ValueError: `slots` is less than 1.
        UnguardedError: the script has no `__main__` guard. Raised by `messages` if only a worker detects it.
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
            raise ValueError(f"job {job.id} has not ended yet: give the new one another id")
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
                # Messages stay in the outbox until here, so that Ctrl-C loses none.
                found, self._outbox = self._outbox, []
                return found
            if self._error is not None:
                raise self._error
            now = time.monotonic()
            if now >= until:
                return []
            wake = min([until, now + _POLL_INTERVAL, *(slot.deadline(self._hang_after) for slot in self._slots)])
            connection.wait([handle for slot in self._slots for handle in slot.handles()], max(0.0, wake - now))

    def answer(self, job_id: int, go_on: bool) -> None:
        for slot in self._slots:
            if slot.asking and slot.task is not None and slot.task.job.id == job_id:
                slot.answer(go_on)

    def cancel(self, job_id: int) -> None:
        task = self._tasks.pop(job_id, None)
        if task is None:
            return
        # A running job cannot be interrupted, so its worker is replaced.
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
            until = time.monotonic() + _CLOSE_TIMEOUT
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
        """Read all pipes, replace dead and hung workers, and start queued jobs."""
        for slot in self._slots:
            # Checked before the pipe is read, so that the last messages of a dead worker are not missed.
            alive = slot.process.is_alive()
            open_pipe = self._read(slot)
            if not alive or not open_pipe:
                self._replace_worker(slot, slot.cause_of_death())
            elif time.monotonic() >= slot.deadline(self._hang_after):
                self._replace_worker(slot, f"silent for {time.monotonic() - slot.last_message:.0f} s")
        for slot in self._slots:
            if self._queue and slot.ready and slot.take(self._queue[0]):
                self._queue.popleft()

    def _read(self, slot: _Slot) -> bool:
        """Handle all messages of a worker. Return False if it has closed the pipe."""
        try:
            while slot.pipe.poll():
                self._handle(slot, *slot.pipe.recv())
        except (EOFError, OSError):
            return False
        return True

    def _handle(self, slot: _Slot, kind: str, *rest: Any) -> None:
        slot.last_message = time.monotonic()
        task = slot.task
        if kind == "ready":
            slot.ready = True
        elif kind == "broken":
            slot.setup_error, slot.traceback = rest
        elif task is None:
            raise AssertionError(f"worker {slot.name} sent {kind} without a job")
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

    def _replace_worker(self, slot: _Slot, reason: str) -> None:
        """Replace a worker, and rerun its job unless it was the second worker to die on it."""
        task = slot.task
        unguarded = slot.process.exitcode == UNGUARDED and not slot.ready and task is None
        slot.stop()
        if unguarded:
            self._error = UnguardedError()
            return
        if task is None:
            slot.failures += 1
        elif not task.started:
            # The worker died before it started the job.
            slot.failures += 1
            self._queue.appendleft(task)
        elif task.requeued:
            del self._tasks[task.job.id]
            self._outbox.append(Lost(task.job, reason))
        else:
            task.started, task.requeued = False, True
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
    """An unfinished job with its pickled payload and its state in the pool."""

    job: Job
    payload: bytes
    started: bool = False
    requeued: bool = False


class _Slot:
    """A worker process that is replaced when it dies, and its state.

    Each worker has its own pipe. With a shared queue, a process killed while it holds the queue's lock would block all
    other workers.
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
            # Deterministic sums. cuBLAS reads this when it is first used.
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
            # Otherwise glibc returns the pages of all activations in each step and has to fault them in again.
            "MALLOC_MMAP_THRESHOLD_": "1000000000",
            "MALLOC_TRIM_THRESHOLD_": "2000000000",
        }
        self.renew()

    def renew(self) -> None:
        """Create a new process without starting it. The pool knows it before it runs, so that Ctrl-C orphans none."""
        self.task: _Task | None = None
        self.ready = self.asking = False
        self.setup_error = ""
        self.last_message = time.monotonic()
        self.pipe, self._worker_end = _SPAWN.Pipe()
        # A daemon, so that an interpreter that ends without closing the pool does not wait for it.
        self.process = _SPAWN.Process(
            target=serve, args=(self._worker_end, *self._arguments), name=f"nas-worker-{self.name}", daemon=True
        )

    def start(self) -> None:
        # This process closes its copy of the worker's end at once, so that the worker's death closes the pipe.
        with self._worker_end, _spawn_environment(self._environment):
            self.process.start()

    def stop(self) -> None:
        if self.process.pid is not None:
            self.process.kill()
            self.process.join()
        self.pipe.close()
        self.ready = self.asking = False

    def handles(self) -> list[Any]:
        return [self.pipe, self.process.sentinel]

    def take(self, task: _Task) -> bool:
        """Send the worker a job. Return False if it has died; the next `_collect` replaces it."""
        try:
            self.pipe.send_bytes(task.payload)
        except OSError:
            return False
        self.task, self.ready = task, False
        self.last_message = time.monotonic()
        return True

    def answer(self, go_on: bool) -> None:
        self.asking = False
        self.last_message = time.monotonic()
        with suppress(OSError):
            self.pipe.send(go_on)

    def deadline(self, hang_after: float | None) -> float:
        """Time on the monotonic clock at which the worker counts as hung without a further message."""
        if self.task is not None and not self.asking:
            return float("inf") if hang_after is None else self.last_message + hang_after
        return float("inf") if self.ready or self.asking else self.last_message + _SETUP_TIMEOUT

    def cause_of_death(self) -> str:
        # The pipe can close a moment before the process has an exit code.
        self.process.join(1.0)
        code = self.process.exitcode
        if self.setup_error:
            return self.setup_error
        if code is None:
            return "stopped listening"
        if code < 0:
            return f"killed by {_signal_name(-code)}"
        if code == 1 and not self.ready and self.task is None:
            # How a worker ends that runs a script without the guard.
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
def _spawn_environment(environment: dict[str, str]) -> Iterator[None]:
    """Context manager in which spawned processes inherit environment variables, and SIGINT is blocked.

    The variables are set in this process, because a child imports the main script, and perhaps torch, before it runs
    our code. SIGINT stays blocked in the child until the child ignores it. In this process, a Ctrl-C is delivered at
    the end of the block.
    """
    # Before the block, because starting the tracker unblocks SIGINT (Python < 3.13).
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
