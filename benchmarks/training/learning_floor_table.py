"""Table of benchmarks.learning_floor: mIoU by number of steps, data set and number of labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.common.rows import read_rows
from nas.errors import UserError

__all__ = ["lengths", "write_table"]

NEAR = 0.95
"""Share of the best mIoU that a training of sufficient length reaches."""

GROUP = ["data", "labels", "recipe"]
FIRST_STEPS = ("varied", "above")

INTRODUCTION = """\
# How many steps does a training with few labels need?

Mean mIoU on held-out images after trainings of 40, 80, ... steps with batches of 8, each with its own schedule.

- `location`, `Otsu`: naive baselines on the same images, the most frequent class by location and Otsu's threshold.
- `varied`: first validation step (of 5, 10, 20, 40, ...) of the longest training from which on the prediction has more
  than one class, for all seeds. `above`: first one with a higher mIoU than the location map, for all seeds.
- `learns`: shortest length from which on the mean mIoU is higher than those of the naive baselines.
- `near`: shortest length with 95 % of the best mean mIoU of the row; of little meaning if a row ends early.
"""


def lengths(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row per data set, number of labels and recipe: mean mIoU by length and the columns of INTRODUCTION.

    Steps and lengths that were not reached are missing.
    """
    found = []
    for key, cell in rows.groupby(GROUP, sort=True):
        means = cell.groupby("steps")["miou"].mean()
        naive = cell[["location", "otsu"]].mean()
        below = means.index[means <= naive.max()]
        learns = means.index[means.index > below.max()] if len(below) else means.index
        found.append(
            {
                **dict(zip(GROUP, key, strict=True)),
                "seeds": cell["seed"].nunique(),
                **naive,
                **{str(steps): miou for steps, miou in means.items()},
                **_first_steps(cell[cell["steps"] == cell["steps"].max()]),
                "learns": min(learns, default=None),
                "near": means.index[means >= NEAR * means.max()].min(),
                "step_core_s": cell["step_core_s"].median(),
            }
        )
    return pd.DataFrame(found)


def _first_steps(longest: pd.DataFrame) -> dict[str, int | None]:
    """Return `varied` and `above` of the longest trainings of a cell."""
    steps = sorted({int(step) for curve in longest["curve"] for step in json.loads(curve)})
    last_constant = longest["one_class_until"].max()
    above = longest["above_location_at"]
    return {
        "varied": next((step for step in steps if step > last_constant), None),
        "above": None if above.isna().any() else int(above.max()),
    }


def write_table(path: Path) -> str:
    """Write the Markdown table beside the CSV file, and return it.

    Raises:
        UserError: if the CSV file does not exist.
    """
    if not path.exists():
        raise UserError(f"there are no results in {path}: run without --report first")
    table = lengths(read_rows(path))
    steps = sorted((str(name) for name in table if str(name).isdigit()), key=int)
    order = [*GROUP, "seeds", "location", "otsu", *steps, *FIRST_STEPS, "learns", "near", "step_core_s"]
    names = ["set", *order[1:5], "Otsu", *order[6:-1], "core s a step"]
    cells = [[_text(name, row[name]) for name in order] for _, row in table.iterrows()]
    lines = [" | ".join(row) for row in (names, ["---"] * len(names), *cells)]
    text = "\n".join([INTRODUCTION, *(f"| {line} |" for line in lines)]) + "\n"
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    return text


def _text(name: str, value: Any) -> str:
    if pd.isna(value):
        return "-"
    if name in (*FIRST_STEPS, "learns", "near", "labels", "seeds"):
        return str(int(value))
    return f"{value:.3f}".removeprefix("0") if isinstance(value, float) else str(value)
