"""Table and figure of benchmarks.methods: paired differences from supervised training."""

from __future__ import annotations

import math
import statistics
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.training.method_recipes import METHODS
from nas.controller.ranking import confidence_interval

__all__ = ["paired", "write_tables"]

PUBLISHED = """\
Published, not measured here (Mittal, Tatarchenko and Brox 2019, Cityscapes validation mIoU in %, ResNet-101 DeepLabv2):

| labels | 1/8 | 1/4 | full |
|---|---|---|---|
| supervised | 56.2 | 60.2 | 66.0 |
| S4GAN + MLMT | 59.3 | 61.9 | 65.8 |
"""


SPLITS = ("search_val", "test")


def paired(table: pd.DataFrame) -> pd.DataFrame:
    """Compute mean scores and paired differences from supervised training: a row per share of labels and method.

    Scores and differences are in points (100 x mIoU). Intervals are half the 95 % interval of the mean difference.
    """
    rows = []
    for labels, share in table.groupby("labels"):
        base = share[share["method"] == "supervised"].set_index("seed")
        for method in METHODS:
            cells = share[share["method"] == method].set_index("seed")
            if cells.empty:
                continue
            row = {"labels": labels, "method": method, "seeds": len(cells)}
            for split in SPLITS:
                differences = [100 * (cells[split][s] - base[split][s]) for s in cells.index if s in base.index]
                known = method != "supervised" and differences
                row[split] = 100 * cells[split].mean()
                row[f"{split}_difference"] = statistics.fmean(differences) if known else math.nan
                row[f"{split}_interval"] = confidence_interval(differences) if known else math.nan
            rows.append({**row, "seconds": cells["seconds"].mean(), "peak_mb": cells["peak_mb"].max()})
    return pd.DataFrame(rows)


def write_tables(cells: Path, steps: int, size: str, kind: str = "camvid") -> str:
    """Write the Markdown table and the figure beside the table of cells, and return the Markdown."""
    table = pd.read_csv(cells)
    found = paired(table[(table["steps"] == steps) & (table["size"] == size)])
    name = "CamVid" if kind == "camvid" else kind
    text = _markdown(found, f"{name}, {size}, {steps} steps")
    cells.with_suffix(".md").write_text(text, encoding="utf-8")
    _draw(found, name, cells.with_suffix(".html"))
    return text


def _markdown(found: pd.DataFrame, about: str) -> str:
    lines = [
        f"# Methods on {about}",
        "",
        "mIoU in %, and its difference from supervised training, paired by seed, with its 95 % interval.",
        "",
        "| labels | method | seeds | search-val | difference | test | difference | seconds | peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found.to_dict("records"):
        scores = " | ".join(f"{row[split]:.1f} | {_gain(row, split)}" for split in SPLITS)
        lines.append(
            f"| {row['labels']} | {row['method']} | {row['seeds']} | {scores} "
            f"| {row['seconds']:.0f} | {row['peak_mb']:.0f} |"
        )
    return "\n".join([*lines, "", PUBLISHED])


def _gain(row: dict[Hashable, Any], split: str) -> str:
    difference, interval = row[f"{split}_difference"], row[f"{split}_interval"]
    if math.isnan(difference):
        return "-"
    return f"{difference:+.1f}" + ("" if math.isnan(interval) else f" ± {interval:.1f}")


def _draw(found: pd.DataFrame, name: str, path: Path) -> None:
    import plotly.graph_objects as go

    figure = go.Figure()
    for labels, share in found.dropna(subset="test_difference").groupby("labels"):
        figure.add_trace(
            go.Scatter(
                x=share["test_difference"],
                y=share["method"],
                error_x={"type": "data", "array": share["test_interval"]},
                mode="markers",
                name=f"{labels} of the labels",
            )
        )
    figure.add_vline(x=0, line_dash="dot")
    figure.update_layout(
        template="plotly_white",
        title=f"What unlabelled images add to supervised training on {name}",
        xaxis_title="test mIoU, points above supervised training of the same seed (95 % interval)",
        yaxis={"autorange": "reversed"},
    )
    figure.write_html(path, include_plotlyjs="cdn")
