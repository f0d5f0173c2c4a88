"""The worker's side of a local pool: the loop that runs jobs inside a process of its own.

What goes through the pipe: the controller sends a job as pickled bytes and an answer as a bool;
the worker sends tuples whose first item says what they are. Payloads, results and the work itself
are pickled apart from these, so that one which cannot be read is an error of its job and not of
the pipe; and with plain pickle, so that tensors travel by value and outlive the worker.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import Any

from nas.errors import UserError
from nas.pool.protocol import InfeasibleError, Report, Work

__all__ = ["is_out_of_memory", "one_line", "serve"]

_BEAT = 1.0
"""Seconds between two signs of life."""

_MEMORY_PHRASES = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "alloc_failed",
    "cublas_status_not_initialized",  # there is no room for its handle
    "insufficient memory",  # OpenCV
    "unable to find an engine",  # cuDNN's plans were all out of workspace: a card that has none fails when set up
)

_BROKEN_CONTEXT = ("CUDA error", "cuDNN error")
"""An error in a CUDA kernel leaves the process unable to run another."""


def serve(connection: Connection, pickled_work: bytes, device: str, threads: int, sharers: int) -> None:
    """Set the work up, then run jobs until the pipe closes.

    Args:
        connection: the worker's end of the pipe.
        pickled_work: the `Work`.
        device: "cpu" or "cuda:0".
        threads: for mathematics.
        sharers: workers on the same device, this one included.
    """
    # Ctrl-C reaches the whole process group; what it means is the controller's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_exit_with_parent, name="nas-parent-watch", daemon=True).start()
    try:
        work: Work = pickle.loads(pickled_work)
        work.setup(device)
        _limit_memory(device, sharers)
    except BaseException as error:
        connection.send(("broken", one_line(error), traceback.format_exc()))
        return
    # Only the pipe raises here, and a closed pipe is how an idle worker is told to go.
    with suppress(EOFError, OSError):
        _serve_jobs(connection, work, threads)


def _serve_jobs(connection: Connection, work: Work, threads: int) -> None:
    while True:
        connection.send(("ready",))
        payload = connection.recv_bytes()
        connection.send(("started",))
        _limit_threads(threads)
        outcome = _attempt(work, payload, _Reporter(connection))
        connection.send(outcome)
        if outcome[0] != "done" and any(words in outcome[1] for words in _BROKEN_CONTEXT):
            return  # a new process takes its place
        # What a large network took would otherwise be missing for those of the GPU's other workers.
        _release_memory()


def _exit_with_parent() -> None:
    """End this process as soon as the controller is gone, in the middle of a job as well."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


class _Reporter:
    """Carries what one job says through the pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._go_on = True
        self._spoke = time.monotonic()

    def __call__(self, step: int, value: float) -> bool:
        if self._go_on:
            rung = ("rung", int(step), float(value))
            with _or_exit():
                self._connection.send(rung)
                self._go_on = self._connection.recv()
        return self._go_on

    def heartbeat(self) -> None:
        now = time.monotonic()
        if now >= self._spoke + _BEAT:
            self._spoke = now
            with _or_exit():
                self._connection.send(("heartbeat",))


@contextmanager
def _or_exit() -> Iterator[None]:
    """End the process when the pool has closed: an exception could be swallowed by the job's own handlers."""
    try:
        yield
    except (EOFError, OSError):
        os._exit(1)


def _attempt(work: Work, payload: bytes, report: Report) -> tuple[Any, ...]:
    # The outcome is returned rather than sent: an exception being handled keeps the job's tensors alive.
    try:
        return "done", pickle.dumps(work.run(pickle.loads(payload), report))
    except InfeasibleError as error:
        return "infeasible", " ".join(str(error).split())
    except BaseException as error:
        # SystemExit included: a job that calls sys.exit is a failed job, not a dead worker.
        if is_out_of_memory(error):
            return "infeasible", one_line(error)
        if "No space left on device" in str(error):
            return "lost", one_line(error)
        return "failed", one_line(error), traceback.format_exc()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, told without importing torch.

    True for `MemoryError`, any class called OutOfMemoryError (torch's and its `torch.cuda` alias),
    and an error of torch's or OpenCV's that says so in words, as the CPU allocator, cuBLAS and cuDNN do.
    """
    if isinstance(error, MemoryError) or any(c.__name__ == "OutOfMemoryError" for c in type(error).__mro__):
        return True
    text = str(error).lower()
    told = isinstance(error, RuntimeError) or type(error).__module__ == "cv2"
    return told and any(phrase in text for phrase in _MEMORY_PHRASES)


def one_line(error: BaseException) -> str:
    """The error as one line; a UserError's message needs no class name before it."""
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _limit_threads(threads: int) -> None:
    # The environment has settled OpenMP and BLAS; these two keep counts of their own.
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)
    if (cv2 := sys.modules.get("cv2")) is not None:
        cv2.setNumThreads(0 if threads == 1 else threads)


def _limit_memory(device: str, sharers: int) -> None:
    """Leave the other workers of a GPU their part: whether a candidate fits must not depend on its neighbours."""
    if device != "cpu" and sharers > 1 and (torch := sys.modules.get("torch")) is not None:
        # The rest is for what each process needs besides its tensors.
        torch.cuda.set_per_process_memory_fraction(0.9 / sharers, device)


def _release_memory() -> None:
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
