"""Worker process of a local pool: the loop that runs jobs.

Protocol of the pipe: the controller sends a job as pickled bytes and an answer as a bool; the worker sends tuples whose
first item is the kind of message. Payloads, results and the work are pickled separately, so that an unreadable one is
an error of its job and not of the pipe. Plain pickle sends tensors by value, so that they outlive the worker.
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

_HEARTBEAT_INTERVAL = 1.0
"""Minimum seconds between two heartbeat messages."""

_MEMORY_PHRASES = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "alloc_failed",
    "cublas_status_not_initialized",  # no memory for the handle
    "insufficient memory",  # OpenCV
    "unable to find an engine",  # no workspace for any cuDNN plan; a GPU that supports none fails in the setup
)

_BROKEN_CONTEXT = ("CUDA error", "cuDNN error")
"""Errors after which the process cannot run another CUDA kernel."""


def serve(connection: Connection, pickled_work: bytes, device: str, threads: int, sharers: int) -> None:
    """Set up the work, then run jobs until the pipe closes.

    Args:
        connection: the worker's end of the pipe.
        pickled_work: the pickled `Work`.
        device: "cpu" or "cuda:0".
        threads: number of math threads.
        sharers: number of workers on the same device, including this one.
    """
    # Ctrl-C reaches the whole process group, but only the controller handles it.
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
    # Only the pipe raises here. The pool ends an idle worker by closing the pipe.
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
            return  # the pool starts a new process
        # Otherwise the memory of a large network would not be available to other workers of the GPU.
        _release_memory()


def _exit_with_parent() -> None:
    """Exit as soon as the controller has ended, even during a job."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


class _Reporter:
    """`Report` of a job through the worker's pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._go_on = True
        self._last_heartbeat = time.monotonic()

    def __call__(self, step: int, value: float) -> bool:
        if self._go_on:
            rung = ("rung", int(step), float(value))
            with _or_exit():
                self._connection.send(rung)
                self._go_on = self._connection.recv()
        return self._go_on

    def heartbeat(self) -> None:
        now = time.monotonic()
        if now >= self._last_heartbeat + _HEARTBEAT_INTERVAL:
            self._last_heartbeat = now
            with _or_exit():
                self._connection.send(("heartbeat",))


@contextmanager
def _or_exit() -> Iterator[None]:
    """Exit the process if the pool has closed the pipe. The job's own handlers could swallow an exception."""
    try:
        yield
    except (EOFError, OSError):
        os._exit(1)


def _attempt(work: Work, payload: bytes, report: Report) -> tuple[Any, ...]:
    # Returned, not sent here: while an exception is handled, its traceback keeps the tensors of the job alive.
    try:
        return "done", pickle.dumps(work.run(pickle.loads(payload), report))
    except InfeasibleError as error:
        return "infeasible", " ".join(str(error).split())
    except BaseException as error:
        # SystemExit too: a job that calls sys.exit has failed, and its worker continues.
        if is_out_of_memory(error):
            return "infeasible", one_line(error)
        if "No space left on device" in str(error):
            return "lost", one_line(error)
        return "failed", one_line(error), traceback.format_exc()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out. Does not import torch.

    True for `MemoryError`, classes called OutOfMemoryError (torch's), and RuntimeErrors and OpenCV errors whose message
    says so, as those of the CPU allocator, cuBLAS and cuDNN.
    """
    if isinstance(error, MemoryError) or any(c.__name__ == "OutOfMemoryError" for c in type(error).__mro__):
        return True
    text = str(error).lower()
    by_message = isinstance(error, RuntimeError) or type(error).__module__ == "cv2"
    return by_message and any(phrase in text for phrase in _MEMORY_PHRASES)


def one_line(error: BaseException) -> str:
    """Format an error as one line: class name and message, or the message alone for a UserError."""
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _limit_threads(threads: int) -> None:
    # OpenMP and BLAS read the environment. These two have their own settings.
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)
    if (cv2 := sys.modules.get("cv2")) is not None:
        cv2.setNumThreads(0 if threads == 1 else threads)


def _limit_memory(device: str, sharers: int) -> None:
    """Limit a worker to its share of the GPU memory, so that other workers do not decide whether a candidate fits."""
    if device != "cpu" and sharers > 1 and (torch := sys.modules.get("torch")) is not None:
        # The remaining tenth is for what processes need besides tensors.
        torch.cuda.set_per_process_memory_fraction(0.9 / sharers, device)


def _release_memory() -> None:
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
