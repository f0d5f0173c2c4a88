"""The table of benchmarks.learning_floor: what is learnt after how many steps, by set and number of labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.rows import read_rows
from nas.errors import UserError

__all__ = ["lengths", "write_table"]

NEAR = 0.95
"""The share of the best mIoU with which a training counts as long enough."""

GROUP = ["data", "labels", "recipe"]


def lengths(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a set, number of labels and recipe.

    Its columns: `seeds` of the length with most; `location` and `otsu`, the mIoU of the naive baselines; one a length
    with the mean mIoU; `varied`, the step from which on no training's prediction was of one class at any look;
    `learns`, the shortest length above both baselines, with all longer ones; `near`, the shortest with NEAR of the
    best mIoU; `step_core_s`, processor seconds a step. Steps and lengths that were not reached are missing.
    """
    found = []
    for key, cell in rows.groupby(GROUP, sort=True):
        means = cell.groupby("steps")["miou"].mean()
        location, otsu = cell["location"].mean(), cell["otsu"].mean()
        naive = max(location, otsu) if pd.notna(otsu) else location
        below = means.index[means <= naive]
        above = means.index[means.index > (max(below) if len(below) else 0)]
        found.append(
            {
                **dict(zip(GROUP, key, strict=True)),
                "seeds": cell["seed"].nunique(),
                "location": location,
                "otsu": otsu,
                **{str(steps): miou for steps, miou in means.items()},
                "varied": _first_varied(cell),
                "learns": min(above, default=None),
                "near": means.index[means >= NEAR * means.max()].min(),
                "step_core_s": cell["step_core_s"].median(),
            }
        )
    return pd.DataFrame(found)


def _first_varied(cell: pd.DataFrame) -> int | None:
    """The first look of the longest trainings after which none was of one class again."""
    longest = cell[cell["steps"] == cell["steps"].max()]
    last = longest["one_class_until"].max()
    looks = sorted({int(step) for curve in longest["curve"] for step in json.loads(curve)})
    return next((step for step in looks if step > last), None)


def write_table(path: Path) -> str:
    """Write the table beside the rows, as Markdown, and return it.

    Raises:
        UserError: there are no rows.
    """
    if not path.exists():
        raise UserError(f"{path} is not there: train some cells first")
    table = lengths(read_rows(path))
    steps = sorted((str(name) for name in table if str(name).isdigit()), key=int)
    names = [
        "set",
        "labels",
        "recipe",
        "seeds",
        "location",
        "Otsu",
        *steps,
        "varied",
        "learns",
        "near",
        "core s a step",
    ]
    order = [*GROUP, "seeds", "location", "otsu", *steps, "varied", "learns", "near", "step_core_s"]
    cells = [[_text(name, row[name]) for name in order] for _, row in table.iterrows()]
    lines = [" | ".join(row) for row in (names, ["---"] * len(names), *cells)]
    text = "\n".join([INTRODUCTION, *(f"| {line} |" for line in lines)]) + "\n"
    path.with_suffix(".md").write_text(text)
    return text


INTRODUCTION = """# How many steps must a training with few labels have?

Mean mIoU on held-out images of trainings of 40, 80, ... steps, 8 images a step, each with its own schedule.
`location` and `Otsu` are the naive baselines on the same images. `varied`: the first look (after 5, 10, 20, 40, ...
steps of the longest training) from which on the prediction is not of one class with any seed; `learns`: the shortest
length from which on the mIoU is above both baselines; `near`: the shortest with 95 % of the best mIoU of the row.
"""


def _text(name: str, value: Any) -> str:
    if pd.isna(value):
        return "-"
    if isinstance(value, float) and name not in ("varied", "learns", "near"):
        return f"{value:.3f}".removeprefix("0")
    return str(int(value)) if isinstance(value, float) else str(value)
