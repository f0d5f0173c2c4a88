"""Process many files in threads, since decoding releases the interpreter lock, with a progress bar."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tqdm import tqdm

from nas.interrupt import check

__all__ = ["progress_bar", "threaded"]

In = TypeVar("In")
Out = TypeVar("Out")


def progress_bar(total: int, what: str, shown: bool) -> tqdm[Any]:
    """Make a progress bar on standard error that disappears when full; nothing is shown without a terminal."""
    disable = None if shown else True
    return tqdm(total=total, desc=what, unit="image", file=sys.stderr, disable=disable, leave=False, delay=0.5)


def threaded(function: Callable[[In], Out], inputs: Sequence[In], bar: tqdm[Any]) -> list[Out]:
    """Apply a function to every input; return the results in order, or raise the first error without finishing."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    results = []
    with ThreadPoolExecutor(max_workers=min(16, cores), thread_name_prefix="decode") as pool:
        try:
            for result in pool.map(function, inputs):
                check()
                results.append(result)
                bar.update()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return results
