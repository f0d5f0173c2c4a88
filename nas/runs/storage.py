"""Storages of studies: URLs of SQLite files, and fast writes to the file of a run."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

if TYPE_CHECKING:
    import optuna
    from sqlalchemy.engine import URL

__all__ = ["SQLITE_OPTIONS", "sqlite_url", "wal_storage", "with_full_path"]

SQLITE_OPTIONS = {
    *("timeout", "detect_types", "isolation_level", "check_same_thread", "cached_statements", "uri"),
    *("vfs", "mode", "cache", "psow", "nolock", "immutable"),
}
"""Options after the `?` of an SQLite URL: arguments of `sqlite3.connect` and of SQLite's file URIs."""


def sqlite_url(file: Path, options: Mapping[str, Any] | None = None, driver: str = "sqlite") -> str:
    """Make the SQLAlchemy URL of an SQLite file, which opens this file whatever characters its path has.

    A path of plain characters stays readable. Any other is written as an SQLite file URI
    (https://sqlite.org/uri.html), whose escapes work with every version of SQLAlchemy for `?`, `#`, `%`, braces
    (which Optuna would substitute) and bytes that are not UTF-8.
    """
    from sqlalchemy.engine import URL

    path = str(file)
    if re.fullmatch(r"[A-Za-z0-9_./ ~+,@=-]+", path):
        return _text(URL.create(driver, database=path, query=options or {}))
    escaped = "file:" + quote(os.fsencode(path))
    return _text(URL.create(driver, database=escaped, query={**(options or {}), "uri": "true"}))


def with_full_path(storage: str) -> str:
    """Make the file path in an SQLite URL absolute. Return anything else unchanged.

    A `?` begins options only if SQLite's options follow. Otherwise it belongs to the file name: SQLAlchemy would cut
    the name there, and two files would become one.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(storage)
    except ArgumentError:
        return storage
    file = url.database or ":memory:"
    if url.get_backend_name() != "sqlite" or file.startswith((":memory:", "file:")):
        return storage
    _, *rest = storage.split("?")
    options = _options(rest[-1]) if rest else {}
    path = Path("?".join([file, *(rest[:-1] if options else rest)]))
    return sqlite_url(path.expanduser().resolve(), options, url.drivername)


def _options(text: str) -> dict[str, str]:
    """Parse `name=value&...` if all names are options of SQLite; otherwise return no options."""
    try:
        found = dict(parse_qsl(text, strict_parsing=True))
    except ValueError:
        return {}
    return found if found.keys() <= SQLITE_OPTIONS else {}


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


@contextmanager
def wal_storage(file: Path) -> Iterator[optuna.storages.RDBStorage]:
    """Context manager: Optuna's storage in an SQLite file with a write-ahead log (https://sqlite.org/wal.html).

    Optuna commits every value by itself, some sixty for a candidate with thirty parameters, and SQLite waits for the
    disk at every commit by default. With the log it does not. A killed process loses nothing, and a power cut the last
    commits only. Afterwards the study is a single file again, unless another process is reading it.
    """
    import optuna
    from sqlalchemy import event

    storage = optuna.storages.RDBStorage(sqlite_url(file))
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
