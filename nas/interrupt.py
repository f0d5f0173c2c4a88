"""Ctrl-C and orderly kills: the signal is noted, and the program ends at its next safe point.

An exception raised by a signal handler lands wherever the interpreter happens to be. In a callback of its own
(`__del__`, weakref) it is printed and dropped, and the program runs on. Here handlers raise nothing: `check` does, and
stands where nothing is half done.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

__all__ = ["INTERRUPTED", "came", "check", "heeded", "ignore", "last_words", "leave", "unfinished", "watch"]

INTERRUPTED = 130
"""Exit code: 128 + SIGINT, as shells count."""

GRACE = 0.35
"""Seconds that a command has to reach a safe point; then it ends where it is, as if killed."""

UNWINDING = 3.0
"""Seconds that a command has from the safe point to its end."""

INSISTENCE = 1.0
"""Seconds without a safe point after which a second Ctrl-C raises at once, in a script or a notebook."""

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

unfinished: set[Path] = set()
"""Temporary files that are removed when a command is interrupted."""

_last_words = ""

_since: float | None = None
"""When the first signal came (on the monotonic clock)."""

_raised = threading.Event()
_safe_points = threading.Event()
_ending = threading.Lock()
_command: str | None = None


def came() -> bool:
    """Whether a signal has asked the program to end."""
    return _since is not None


def check() -> None:
    """Mark a safe point.

    Raises:
        KeyboardInterrupt: a signal has asked the program to end.
    """
    if came():
        _raised.set()
        raise KeyboardInterrupt


@contextmanager
def heeded() -> Iterator[None]:
    """Inside it an interrupt waits for a safe point, of which there must be one every few tenths of a second.

    In a script or a notebook this is for Ctrl-C alone, in the main thread, unless the program has a handler of its own.
    In a command, `watch` has installed the handlers.
    """
    borrowed = _command is None
    if borrowed and not _may_borrow():
        yield
        return
    if borrowed:
        signal.signal(signal.SIGINT, _note)
    _safe_points.set()
    try:
        yield
        check()
    except Exception:
        # What went wrong may be the interrupt's own doing, such as workers that it ended as well.
        check()
        raise
    finally:
        _safe_points.clear()
        if borrowed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _forget()


@contextmanager
def last_words(line: str) -> Iterator[None]:
    """What a command prints on standard output if it must end inside where it is."""
    global _last_words
    _last_words = line
    try:
        yield
    finally:
        _last_words = ""


def _may_borrow() -> bool:
    in_main = threading.current_thread() is threading.main_thread()
    return in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _forget() -> None:
    global _since
    _since = None
    _raised.clear()


def _note(number: int, frame: object) -> None:
    global _since
    if _since is None:
        _since = time.monotonic()
    elif _command is None and not _raised.is_set() and time.monotonic() > _since + INSISTENCE:
        raise KeyboardInterrupt


def watch(command: str) -> None:
    """Make SIGINT, SIGTERM and SIGHUP end this process with one line and exit code 130, whatever it is doing.

    Inside `heeded` it ends at a safe point if there is one in time, and at once otherwise. A thread sees to that: it
    learns of a signal even while the main thread is busy outside of Python. Signals that are ignored, as SIGHUP under
    nohup, stay so.

    Args:
        command: what the line begins with, such as nas-search.
    """
    global _command
    _command = command
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _note)
    # The tracker that frees shared memory after a process which ends where it is would speak of it.
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    threading.Thread(target=_wait_for_signal, args=(read,), name="nas-interrupt", daemon=True).start()


def ignore() -> None:
    """Ignore signals from here on: the process is about to exit, and how is settled."""
    if _command is not None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def leave(command: str) -> NoReturn:
    """End with one line and exit code 130.

    A command skips what the interpreter does at its end: after torch and plotly that takes a second.
    """
    if _command is None:
        print(f"{command}: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    _end()


def _wait_for_signal(read: int) -> None:
    while os.read(read, 1)[0] not in SIGNALS:
        pass  # of another handler
    _note(0, None)
    if _safe_points.is_set() and _raised.wait(GRACE):
        time.sleep(UNWINDING)
    _end()


def _end() -> NoReturn:
    """End the process where it is: what a search has done is kept, since it stands being killed at any moment."""
    ending = _ending.acquire(blocking=False)
    if not ending:
        time.sleep(UNWINDING)  # another thread is at it
    for path in list(unfinished):
        with suppress(OSError):
            path.unlink()
    with suppress(Exception):  # the main thread may be importing the module, or at the same list
        for worker in sys.modules["multiprocessing"].active_children():
            worker.kill()
    if ending:
        clear = "\r\033[K" if os.isatty(2) else ""  # a progress bar may stand there
        with suppress(OSError):
            if _last_words:
                os.write(1, f"{_last_words}\n".encode())
            os.write(2, f"{clear}{_command}: interrupted\n".encode())
    os._exit(INTERRUPTED)
