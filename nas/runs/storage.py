"""Where studies are stored: URLs that name exactly one SQLite file, and quick writes to the file of a run."""

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

__all__ = ["SQLITE_OPTIONS", "sqlite_url", "with_full_path", "written_ahead"]

SQLITE_OPTIONS = {
    *("timeout", "detect_types", "isolation_level", "check_same_thread", "cached_statements", "uri"),
    *("vfs", "mode", "cache", "psow", "nolock", "immutable"),
}
"""What may follow the `?` of an SQLite URL: arguments of `sqlite3.connect`, and of SQLite's own file URIs."""


def sqlite_url(file: Path, options: Mapping[str, Any] | None = None, driver: str = "sqlite") -> str:
    """The SQLAlchemy URL of an SQLite file, which reads back as this very file whatever characters its path holds.

    Paths of plain characters stay readable. Any other path is written as an SQLite file URI
    (https://sqlite.org/uri.html), whose escapes also hold `?`, `#`, `%`, braces (which Optuna would fill in) and
    bytes that are not UTF-8, under every version of SQLAlchemy.
    """
    from sqlalchemy.engine import URL

    path = str(file)
    if re.fullmatch(r"[A-Za-z0-9_./ ~+,@=-]+", path):
        return _text(URL.create(driver, database=path, query=options or {}))
    escaped = "file:" + quote(os.fsencode(path))
    return _text(URL.create(driver, database=escaped, query={**(options or {}), "uri": "true"}))


def with_full_path(storage: str) -> str:
    """The URL of a storage, the file of an SQLite one with its full path; text that is no URL is returned as it is.

    A `?` begins options only where SQLite's options follow. Elsewhere it belongs to the file's name: SQLAlchemy would
    drop the rest of the name, and two files would become one.
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
    """The options of SQLite in `name=value&...`, none where anything else is in it."""
    try:
        found = dict(parse_qsl(text, strict_parsing=True))
    except ValueError:
        return {}
    return found if found.keys() <= SQLITE_OPTIONS else {}


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


@contextmanager
def written_ahead(file: Path) -> Iterator[optuna.storages.RDBStorage]:
    """Optuna's storage in a SQLite file, with a write-ahead log for as long as it is used (https://sqlite.org/wal.html).

    Optuna commits each value by itself, some sixty for a candidate with thirty parameters, and SQLite unasked waits
    for the disk at every commit. With a log beside the file it need not: whatever ends the process, all is there;
    after a power cut, all but the last commits. Afterwards the study is one file again, unless somebody reads it.
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
