"""Tables of results that grow by a row: nothing is run twice, and a file of other columns is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from nas.errors import UserError

__all__ = ["Row", "append", "known", "measured", "read_rows"]

Row = dict[str, Any]
J = TypeVar("J")


def known(path: Path, columns: Sequence[str], key: Sequence[str]) -> set[tuple[str, ...]]:
    """The keys, as text, of the rows that a CSV file holds; none when there is no file.

    Raises:
        UserError: when the file's columns are others than those of the rows to come.
    """
    if not path.exists():
        return set()
    rows = read_rows(path, dtype=str)
    if list(rows.columns) != list(columns):
        raise UserError(f"{path} holds other columns than this version writes: move it away, or give another --out")
    return {tuple(row) for row in rows[list(key)].to_numpy().tolist()}


def read_rows(path: Path, **options: Any) -> pd.DataFrame:
    """A CSV file.

    Raises:
        UserError: when it holds no table.
    """
    try:
        return pd.read_csv(path, **options)
    except ValueError as error:  # pandas' own errors, and bytes that are no text
        raise UserError(f"{path} is no table ({str(error).splitlines()[0]}): move it away") from error


def measured(measure: Callable[[J], Row], jobs: Iterable[J], processes: int) -> Iterator[Row]:
    """The rows of the jobs, each as soon as it is there."""
    if processes == 1:
        yield from map(measure, jobs)
        return
    with ProcessPoolExecutor(processes) as pool:
        try:
            for ended in as_completed([pool.submit(measure, job) for job in jobs]):
                yield ended.result()
        finally:  # after an error, what has not begun would be computed for nobody
            pool.shutdown(cancel_futures=True)


def append(path: Path, columns: Sequence[str], row: Mapping[str, Any]) -> None:
    """Add a row to a CSV file, which is made when it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame([row], columns=list(columns))
    frame.to_csv(path, mode="a", header=not path.exists(), index=False)
