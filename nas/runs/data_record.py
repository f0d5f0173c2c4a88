"""What was understood of a run's data: said in its log, and kept beside it as data.json."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.files import replacing

__all__ = ["RECORD", "keep_record", "tell_data", "understood"]

RECORD = "data.json"

log = logging.getLogger("nas")


def tell_data(data: Any, folder: Path) -> None:
    """Log what was understood of the data, and write it into the run's folder.

    The warnings were shown when the images were loaded, before there was a log file; they are added to that alone.
    """
    summary = data.summary
    if summary is None:
        return
    for line in summary.lines():
        log.info("%s", line)
    files = [handler for handler in log.handlers if isinstance(handler, logging.FileHandler)]
    for warning in summary.warnings:
        record = log.makeRecord(log.name, logging.WARNING, __file__, 0, "Warning: %s", (warning,), None)
        for handler in files:
            handler.handle(record)
    keep_record(summary, folder)


def keep_record(summary: Any, folder: Path) -> None:
    """Write a summary of data into the run's folder."""
    with replacing(folder / RECORD) as path:
        path.write_text(json.dumps({**asdict(summary), "lines": summary.lines()}, indent=1) + "\n", encoding="utf-8")


def understood(folder: Path) -> tuple[list[str], list[str]]:
    """The sentences and the warnings in a run's folder; none of a run that has no readable record."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return list(map(str, content["lines"])), list(map(str, content["warnings"]))
    except (OSError, ValueError, TypeError, LookupError):
        return [], []
