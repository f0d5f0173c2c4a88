"""The summary of a run's data: logged, and stored in the run as data.json."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.files import replacing

__all__ = ["RECORD", "log_data", "read_data_record", "write_data_record"]

RECORD = "data.json"

log = logging.getLogger("nas")


def log_data(data: Any, folder: Path) -> None:
    """Log the summary of the data, and write it into the run's folder.

    Warnings go to the log file only: they were shown when the images were loaded, before there was a log file.
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
    write_data_record(summary, folder)


def write_data_record(summary: Any, folder: Path) -> None:
    """Write a summary of data into the run's folder."""
    with replacing(folder / RECORD) as path:
        path.write_text(json.dumps({**asdict(summary), "lines": summary.lines()}, indent=1) + "\n", encoding="utf-8")


def read_data_record(folder: Path) -> tuple[list[str], list[str]]:
    """Read the lines and the warnings of the summary in a run's folder; both are empty without a readable record."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return list(map(str, content["lines"])), list(map(str, content["warnings"]))
    except (OSError, ValueError, TypeError, LookupError):
        return [], []
