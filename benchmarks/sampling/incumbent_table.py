"""Table and figure of benchmarks.incumbents: best candidate so far after equal training time."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

__all__ = ["incumbent_after", "write_report"]

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of the training time of the shortest search, after which searches are compared."""


def incumbent_after(search: pd.DataFrame, seconds: float) -> float:
    """Return the incumbent's mIoU of a search after some seconds of training; nan if there is none yet."""
    known = search.loc[search["total_seconds"] <= seconds, "incumbent"].dropna()
    return float(known.iloc[-1]) if len(known) else float("nan")


def write_report(path: Path) -> str:
    """Write the Markdown table and the figure beside the CSV file of searches, and return the Markdown."""
    rows = pd.read_csv(path)
    text = _markdown(rows)
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    _draw(rows, path.with_suffix(".html"))
    return text


def _markdown(rows: pd.DataFrame) -> str:
    searches = dict(list(rows.groupby(["sampler", "seed"], sort=False)))
    common = min(own["total_seconds"].iloc[-1] for own in searches.values())
    marks = [round(share * common) for share in SHARES]
    lines = [
        f"# Best network so far, {rows['data'].iloc[0]}, {rows['steps'].iloc[0]} steps",
        "",
        "Search-val mIoU in % after equal training time and at the end: mean over seeds, and each seed.",
        "",
        "| sampler | " + " | ".join(f"{mark} s" for mark in marks) + " | end | candidates | complete | seconds |",
        "|---" * (len(marks) + 5) + "|",
    ]
    for sampler in rows["sampler"].unique():
        own = [found for (name, _), found in searches.items() if name == sampler]
        cells = [_cell([incumbent_after(found, mark) for found in own]) for mark in (*marks, math.inf)]
        complete = sum((found["outcome"] == "complete").sum() for found in own) / len(own)
        count, seconds = sum(map(len, own)) / len(own), sum(found["total_seconds"].iloc[-1] for found in own) / len(own)
        lines.append(f"| {sampler} | {' | '.join(cells)} | {count:.0f} | {complete:.0f} | {seconds:.0f} |")
    return "\n".join(lines) + "\n"


def _cell(scores: list[float]) -> str:
    mean = pd.Series(scores).mean()
    each = ", ".join("-" if pd.isna(score) else f"{100 * score:.1f}" for score in scores)
    return "-" if pd.isna(mean) else f"{100 * mean:.1f} ({each})"


def _draw(rows: pd.DataFrame, path: Path) -> None:
    import plotly.express as px

    figure = px.line(
        rows.dropna(subset="incumbent").assign(search=lambda r: r["sampler"] + ", seed " + r["seed"].astype(str)),
        x="total_seconds",
        y="incumbent",
        color="sampler",
        line_group="search",
        line_shape="hv",
        hover_name="search",
        template="plotly_white",
        title="The best network so far",
        labels={"total_seconds": "seconds of training", "incumbent": "search-validation mIoU of the best so far"},
    )
    figure.write_html(path, include_plotlyjs="cdn")
