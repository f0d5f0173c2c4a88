"""Ctrl-C and SIGTERM: the signal is noted, and the program ends at its next safe point.

An exception that a signal handler raises can land anywhere. In a callback of the interpreter (`__del__`, weakref) it is
printed and dropped, and the program runs on. These handlers raise nothing. `check` raises, and is called where nothing
is half done.
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

__all__ = [
    "EXIT_CODE",
    "check",
    "deferred",
    "exit_interrupted",
    "exit_message",
    "ignore_signals",
    "install_handlers",
    "requested",
    "temporary_files",
]

EXIT_CODE = 130
"""128 + SIGINT, as shells count."""

GRACE = 0.35
"""Seconds in which a command must reach a safe point. Then it exits where it is, as if killed."""

UNWINDING = 3.0
"""Seconds in which a command must end after the safe point."""

SECOND_SIGNAL = 1.0
"""Seconds without a safe point after which a second Ctrl-C raises at once, in a script or a notebook."""

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

temporary_files: set[Path] = set()
"""Files that are removed when a command is interrupted."""

_exit_message = ""

_since: float | None = None
"""Time of the first signal on the monotonic clock."""

_raised = threading.Event()
_safe_points = threading.Event()
_ending = threading.Lock()
_command: str | None = None


def requested() -> bool:
    """Whether a signal has asked the program to end."""
    return _since is not None


def check() -> None:
    """Mark a safe point.

    Raises:
        KeyboardInterrupt: a signal has asked the program to end.
    """
    if requested():
        _raised.set()
        raise KeyboardInterrupt


@contextmanager
def deferred() -> Iterator[None]:
    """Context manager that defers interrupts to the next safe point, which must come within tenths of a second.

    In a script or a notebook it defers Ctrl-C only, in the main thread, and leaves a handler of the program's own in
    place. In a command, `install_handlers` has installed the handlers.
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
        # The interrupt may have caused the error, such as workers that it killed too.
        check()
        raise
    finally:
        _safe_points.clear()
        if borrowed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _forget()


@contextmanager
def exit_message(line: str) -> Iterator[None]:
    """Context manager: the line that a command prints on standard output if it exits inside without a safe point."""
    global _exit_message
    _exit_message = line
    try:
        yield
    finally:
        _exit_message = ""


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
    elif _command is None and not _raised.is_set() and time.monotonic() > _since + SECOND_SIGNAL:
        raise KeyboardInterrupt


def install_handlers(command: str) -> None:
    """Make SIGINT, SIGTERM and SIGHUP end this process with one line and exit code 130.

    Inside `deferred` it ends at a safe point if one comes in time, otherwise at once. A thread waits for signals, since
    the main thread may be busy outside of Python. Signals that are ignored already, as SIGHUP under nohup, stay
    ignored.

    Args:
        command: name that the line begins with, such as nas-search.
    """
    global _command
    _command = command
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _note)
    # The tracker that frees the shared memory of a killed process would warn of it.
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    threading.Thread(target=_wait_for_signal, args=(read,), name="nas-interrupt", daemon=True).start()


def ignore_signals() -> None:
    """Ignore signals from here on, since the process is about to exit with a known code."""
    if _command is not None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def exit_interrupted(command: str) -> NoReturn:
    """Exit with one line and exit code 130.

    A command skips the interpreter's own shutdown, which takes a second after torch and plotly are loaded.
    """
    if _command is None:
        print(f"{command}: interrupted", file=sys.stderr)
        sys.exit(EXIT_CODE)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    _end()


def _wait_for_signal(read: int) -> None:
    while os.read(read, 1)[0] not in SIGNALS:
        pass  # a signal of another handler
    _note(0, None)
    if _safe_points.is_set() and _raised.wait(GRACE):
        time.sleep(UNWINDING)
    _end()


def _end() -> NoReturn:
    """End the process where it is. A search loses nothing, since it survives being killed at any moment."""
    ending = _ending.acquire(blocking=False)
    if not ending:
        time.sleep(UNWINDING)  # another thread is ending the process
    for path in list(temporary_files):
        with suppress(OSError):
            path.unlink()
    with suppress(Exception):  # the main thread may be importing the module or changing the list
        for worker in sys.modules["multiprocessing"].active_children():
            worker.kill()
    if ending:
        clear = "\r\033[K" if os.isatty(2) else ""  # removes a progress bar
        with suppress(OSError):
            if _exit_message:
                os.write(1, f"{_exit_message}\n".encode())
            os.write(2, f"{clear}{_command}: interrupted\n".encode())
    os._exit(EXIT_CODE)
