"""Log handlers of a search, the terminal and a file of the run; and loggers that are silenced for a while."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["log_to_file", "log_to_terminal", "only_errors"]

log = logging.getLogger("nas")


class _AboveBars(logging.StreamHandler):
    """Stream handler that writes above progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        if "tqdm" not in sys.modules:
            super().emit(record)
            return
        from tqdm import tqdm

        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)


def log_to_terminal(stream: Any = None) -> Callable[[], None]:
    """Show the search's log on a terminal, and return a function that removes the handler."""
    handler = _AboveBars(stream or sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    return lambda: log.removeHandler(handler)


def log_to_file(path: Path) -> None:
    """Append the search's log to a file. It replaces the log file of an earlier search in this process."""
    for old in [h for h in log.handlers if isinstance(h, logging.FileHandler)]:
        log.removeHandler(old)
        old.close()
    handler = logging.FileHandler(path.resolve(), encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)


@contextmanager
def only_errors(name: str) -> Iterator[None]:
    """Context manager: the logger of that name logs errors only."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
