"""Tables of results that are extended row by row, so that no measurement is repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from nas.errors import UserError

__all__ = ["Row", "append_row", "read_rows", "recorded_keys", "run_jobs"]

Row = dict[str, Any]
J = TypeVar("J")


def recorded_keys(path: Path, columns: Sequence[str], key: Sequence[str]) -> set[tuple[str, ...]]:
    """Return the keys, as text, of the rows in a CSV file; empty if the file does not exist.

    Args:
        path: the CSV file.
        columns: columns that the file must have.
        key: columns that identify a row.

    Raises:
        UserError: if the file has other columns.
    """
    if not path.exists():
        return set()
    rows = read_rows(path, dtype=str)
    if list(rows.columns) != list(columns):
        raise UserError(f"{path} has other columns than this version writes: move it away, or give another --out")
    return {tuple(row) for row in rows[list(key)].to_numpy().tolist()}


def read_rows(path: Path, **options: Any) -> pd.DataFrame:
    """Read a CSV file.

    Raises:
        UserError: if it does not hold a table.
    """
    try:
        return pd.read_csv(path, **options)
    except ValueError as error:  # pandas' errors, and bytes that are not text
        raise UserError(f"{path} is not a table ({str(error).splitlines()[0]}): move it away") from error


def run_jobs(measure: Callable[[J], Row], jobs: Iterable[J], processes: int) -> Iterator[Row]:
    """Measure jobs in parallel processes and yield each row as soon as it is complete."""
    if processes == 1:
        yield from map(measure, jobs)
        return
    with ProcessPoolExecutor(processes) as pool:
        try:
            for future in as_completed([pool.submit(measure, job) for job in jobs]):
                yield future.result()
        finally:  # after an error, do not start the remaining jobs
            pool.shutdown(cancel_futures=True)


def append_row(path: Path, columns: Sequence[str], row: Mapping[str, Any]) -> None:
    """Append a row to a CSV file, which is created if it does not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame([row], columns=list(columns))
    frame.to_csv(path, mode="a", header=not path.exists(), index=False)
