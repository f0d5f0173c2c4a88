"""The tables and the figure of benchmarks.methods: paired differences from supervised training."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import pandas as pd

from benchmarks.method_recipes import METHODS
from nas.search.ranking import confidence_interval

__all__ = ["paired", "write_tables"]

PUBLISHED = """\
Published, not measured here (Mittal, Tatarchenko and Brox 2019, Cityscapes validation mIoU in %, ResNet-101 DeepLabv2):

| labels | 1/8 | 1/4 | full |
|---|---|---|---|
| supervised | 56.2 | 60.2 | 66.0 |
| S4GAN + MLMT | 59.3 | 61.9 | 65.8 |
"""


def paired(table: pd.DataFrame) -> pd.DataFrame:
    """A row a share of labels and method: mean scores, and the difference from supervised, seed by seed.

    Scores and differences are in points (100 x mIoU); `interval` is half the 95 % interval of the difference.
    """
    rows = []
    for labels, share in table.groupby("labels"):
        base = share[share["method"] == "supervised"].set_index("seed")["test"]
        for method in METHODS:
            cells = share[share["method"] == method].set_index("seed")
            if cells.empty:
                continue
            differences = [100 * (cells["test"][s] - base[s]) for s in cells.index if s in base.index]
            of_supervised = method == "supervised"
            rows.append(
                {
                    "labels": labels,
                    "method": method,
                    "seeds": len(cells),
                    "search_val": 100 * cells["search_val"].mean(),
                    "test": 100 * cells["test"].mean(),
                    "difference": math.nan if of_supervised or not differences else statistics.fmean(differences),
                    "interval": math.nan if of_supervised else confidence_interval(differences),
                    "seconds": cells["seconds"].mean(),
                    "peak_mb": cells["peak_mb"].max(),
                }
            )
    return pd.DataFrame(rows)


def write_tables(cells: Path, steps: int, size: str) -> str:
    """Write the Markdown table and the figure beside the table of cells; the Markdown is returned."""
    table = pd.read_csv(cells)
    found = paired(table[(table["steps"] == steps) & (table["size"] == size)])
    text = _markdown(found, steps, size)
    cells.with_suffix(".md").write_text(text, encoding="utf-8")
    _draw(found, cells.with_suffix(".html"))
    return text


def _markdown(found: pd.DataFrame, steps: int, size: str) -> str:
    lines = [
        f"# Methods on CamVid, {size}, {steps} steps",
        "",
        "mIoU in %. The difference from supervised training is on the test split, by seed, with its 95 % interval.",
        "",
        "| labels | method | seeds | search-val | test | difference | seconds | peak MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found.to_dict("records"):
        gain = "-" if math.isnan(row["difference"]) else f"{row['difference']:+.1f} ± {row['interval']:.1f}"
        lines.append(
            f"| {row['labels']} | {row['method']} | {row['seeds']} | {row['search_val']:.1f} | {row['test']:.1f} "
            f"| {gain} | {row['seconds']:.0f} | {row['peak_mb']:.0f} |"
        )
    return "\n".join([*lines, "", PUBLISHED])


def _draw(found: pd.DataFrame, path: Path) -> None:
    import plotly.graph_objects as go

    figure = go.Figure()
    for labels, share in found.dropna(subset="difference").groupby("labels"):
        figure.add_trace(
            go.Scatter(
                x=share["difference"],
                y=share["method"],
                error_x={"type": "data", "array": share["interval"]},
                mode="markers",
                name=f"{labels} of the labels",
            )
        )
    figure.add_vline(x=0, line_dash="dot")
    figure.update_layout(
        template="plotly_white",
        title="What unlabelled images add to supervised training on CamVid",
        xaxis_title="test mIoU, points above supervised training of the same seed (95 % interval)",
        yaxis={"autorange": "reversed"},
    )
    figure.write_html(path, include_plotlyjs="cdn")
