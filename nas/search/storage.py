"""The file of a run's study while a search writes to it: no value waits for the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

__all__ = ["written_ahead"]


@contextmanager
def written_ahead(file: Path) -> Iterator[optuna.storages.RDBStorage]:
    """Optuna's storage in a SQLite file, with a write-ahead log for as long as it is used (https://sqlite.org/wal.html).

    Optuna commits each value by itself, some sixty for a candidate with thirty parameters, and SQLite unasked waits
    for the disk at every commit. With a log beside the file it need not: whatever ends the process, all is there;
    after a power cut, all but the last commits. Afterwards the study is one file again, unless somebody reads it.
    """
    import optuna
    from sqlalchemy import event

    storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
    event.listen(storage.engine, "connect", _write_ahead)
    storage.engine.dispose()
    try:
        yield storage
    finally:
        storage.engine.dispose()
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(file, timeout=1)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")


def _write_ahead(connection: sqlite3.Connection, record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
