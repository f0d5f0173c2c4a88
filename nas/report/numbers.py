"""Format numbers and paths for people."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas import wording

if TYPE_CHECKING:
    import pandas as pd

    from nas.runs.run import Run

__all__ = [
    "count",
    "duration",
    "finite",
    "relative_folder",
    "score",
    "score_with_interval",
    "storage_without_password",
    "tie_text",
]


def finite(value: Any) -> float | None:
    """Return the value as a float; None if it is missing, not a number, NaN or infinite."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def score(value: Any) -> str:
    """Format a mIoU: `0.613`, or `-` if unknown."""
    number = finite(value)
    return "-" if number is None else f"{number:.3f}"


def score_with_interval(mean: Any, half: Any) -> str:
    """Format a mean and the half-width of its interval: `0.613 ± 0.012`, or `0.613` if there is no interval."""
    return score(mean) if finite(half) is None or finite(mean) is None else f"{score(mean)} ± {score(half)}"


def count(value: Any) -> str:
    """Format a number of parameters or operations to three digits: `1.23 M`, `45.1 k`, `12`, or `-` if unknown."""
    number = finite(value)
    if number is None:
        return "-"
    number = float(f"{number:.3g}") if abs(number) >= 1e3 else number  # so that 999,999 is 1.00 M
    for scale, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= scale:
            scaled = number / scale
            return f"{scaled:.{2 if abs(scaled) < 10 else 1 if abs(scaled) < 100 else 0}f} {unit}"
    return f"{number:.0f}"


def duration(seconds: Any) -> str:
    """Format seconds: `34.1 s`, `12 min`, `3 h 20 min`, or `-` if unknown."""
    number = finite(seconds)
    return "-" if number is None else wording.duration(number)


def tie_text(table: pd.DataFrame) -> str:
    """Explain a tie: `no significant difference from the first over 3 seeds`."""
    counts = sorted(set(table.loc[table["tie"] | (table.index == table.index[0]), "seeds"]))
    seeds = f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    return f"no significant difference from the first over {seeds}"


def relative_folder(run: Run) -> Path:
    """Return the run's folder relative to the working directory if it is below it."""
    folder = run.folder.absolute()
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def storage_without_password(run: Run) -> str:
    """Return the storage URL with its password hidden, since reports are passed on."""
    from nas.runs.storage import sqlite_url

    url = run.settings.storage or sqlite_url(relative_folder(run) / "study.db")
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)
