"""The table of benchmarks.learning_floor: what is learnt after how many steps, by set and number of labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.common.rows import read_rows
from nas.errors import UserError

__all__ = ["lengths", "write_table"]

NEAR = 0.95
"""The share of the best mIoU with which a training counts as long enough."""

GROUP = ["data", "labels", "recipe"]
LOOKS = ("varied", "above")

INTRODUCTION = """\
# How many steps must a training with few labels have?

Mean mIoU on held-out images after trainings of 40, 80, ... steps, 8 images a step, each with a schedule of its own.

- `location`, `Otsu`: the naive baselines on the same images, the most frequent class by location and Otsu's threshold.
- `varied`: the first look (after 5, 10, 20, 40, ... steps of the longest training) from which on the prediction is not
  of one class, with every seed; `above`: the first at which it is above the location map, with every seed.
- `learns`: the shortest length from which on the mean mIoU is above the naive baselines.
- `near`: the shortest length with 95 % of the best mean mIoU of the row, which says little where a row ends early.
"""


def lengths(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row a set, number of labels and recipe, with the columns of INTRODUCTION and the mean mIoU by length.

    What was not reached is missing.
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
                **_looks(cell[cell["steps"] == cell["steps"].max()]),
                "learns": min(learns, default=None),
                "near": means.index[means >= NEAR * means.max()].min(),
                "step_core_s": cell["step_core_s"].median(),
            }
        )
    return pd.DataFrame(found)


def _looks(longest: pd.DataFrame) -> dict[str, int | None]:
    """Return what the looks at the longest trainings of a cell say."""
    looks = sorted({int(step) for curve in longest["curve"] for step in json.loads(curve)})
    last = longest["one_class_until"].max()
    above = longest["above_location_at"]
    return {
        "varied": next((step for step in looks if step > last), None),
        "above": None if above.isna().any() else int(above.max()),
    }


def write_table(path: Path) -> str:
    """Write the table beside the rows, as Markdown, and return it.

    Raises:
        UserError: there are no rows.
    """
    if not path.exists():
        raise UserError(f"{path} is not there: train some cells first")
    table = lengths(read_rows(path))
    steps = sorted((str(name) for name in table if str(name).isdigit()), key=int)
    order = [*GROUP, "seeds", "location", "otsu", *steps, *LOOKS, "learns", "near", "step_core_s"]
    names = ["set", *order[1:5], "Otsu", *order[6:-1], "core s a step"]
    cells = [[_text(name, row[name]) for name in order] for _, row in table.iterrows()]
    lines = [" | ".join(row) for row in (names, ["---"] * len(names), *cells)]
    text = "\n".join([INTRODUCTION, *(f"| {line} |" for line in lines)]) + "\n"
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    return text


def _text(name: str, value: Any) -> str:
    if pd.isna(value):
        return "-"
    if name in (*LOOKS, "learns", "near", "labels", "seeds"):
        return str(int(value))
    return f"{value:.3f}".removeprefix("0") if isinstance(value, float) else str(value)
