"""Record the warnings that loading a data set logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["recorded_warnings"]

LOGGER = "nas.tasks.data"


@contextmanager
def recorded_warnings(shown: bool = True) -> Iterator[list[str]]:
    """Record the warnings that `nas.tasks.data` logs inside the block, in a list that grows.

    Args:
        shown: whether they are also logged as usual.
    """
    recorded: list[str] = []

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            recorded.append(record.getMessage())

    logger = logging.getLogger(LOGGER)
    handlers: list[logging.Handler] = [Recorder(logging.WARNING)]
    if shown and not logger.hasHandlers() and logging.lastResort is not None:
        # Python writes warnings to standard error by itself only while there is no handler.
        handlers.append(logging.lastResort)
    propagate = logger.propagate
    logger.propagate = propagate and shown
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield recorded
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
        logger.propagate = propagate
