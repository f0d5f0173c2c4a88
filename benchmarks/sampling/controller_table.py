"""Tables and figure of benchmarks.controllers: means, paired differences, regret over evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.common.rows import read_rows
from nas.controller.ranking import confidence_interval
from nas.errors import UserError

__all__ = ["COMPARED", "MARKS", "RANKED", "means_table", "paired", "summary", "write_report"]

MARKS = (10, 15, 25, 35, 50, 70, 100, 140, 200)
"""Numbers of evaluations after which the regret is recorded."""

RANKED = (25, 50, 100, 200)
"""Numbers of evaluations that are tabulated, and after which the rank is recorded."""

COMPARED = (50, 100, 200)
"""Numbers of evaluations after which samplers are compared with the reference."""

REFERENCE = "surrogate"


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Compute means over tables and seeds, with half their 95 % intervals (`..._interval`): a row per sampler."""
    columns = [f"{what}_{mark}" for what in ("regret", "rank") for mark in RANKED] + ["to_best_0.1%"]
    found = []
    for sampler, own in rows.groupby("sampler"):
        row: dict[str, float | str] = {"sampler": str(sampler), "searches": len(own)}
        for column in columns:
            row[column], row[f"{column}_interval"] = _mean(own[column])
        row["ask_seconds"], row["slowest_ask_seconds"] = own["ask_seconds"].mean(), own["slowest_ask_seconds"].max()
        found.append({**row, "invalid": own["invalid"].mean()})
    return pd.DataFrame(found).sort_values("to_best_0.1%", ignore_index=True)


def paired(rows: pd.DataFrame, reference: str = REFERENCE) -> pd.DataFrame:
    """Compute paired differences in regret from the reference: a row per peer; positive if the reference is better."""
    base = rows[rows["sampler"] == reference].set_index(["table", "seed"])
    found = []
    for sampler, own in rows[rows["sampler"] != reference].groupby("sampler"):
        own = own.set_index(["table", "seed"])
        both = own.index.intersection(base.index)
        row: dict[str, float | str] = {"sampler": str(sampler), "pairs": len(both)}
        for mark in COMPARED:
            column = f"regret_{mark}"
            row[column], row[f"{column}_interval"] = _mean(own.loc[both, column] - base.loc[both, column])
        found.append(row)
    columns = ["sampler", "pairs", *(f"regret_{mark}{part}" for mark in COMPARED for part in ("", "_interval"))]
    return pd.DataFrame(found, columns=columns).sort_values(f"regret_{COMPARED[-1]}", ignore_index=True)


def means_table(rows: pd.DataFrame) -> str:
    """Format the regrets of the summary as Markdown."""
    regrets, titles = [f"regret_{mark}" for mark in RANKED], [f"regret after {mark}" for mark in RANKED]
    return _markdown_table(
        summary(rows), [*regrets, "to_best_0.1%"], [*titles, "to best 0.1 %"], ["searches", "ask_seconds"]
    )


def write_report(path: Path, evaluations: int, workers: int) -> str:
    """Write the Markdown tables and the figure beside the CSV file, and return the Markdown.

    Their names are that of the file, with the number of workers if it is not 1: `controllers_8_workers.md`.

    Args:
        path: the CSV file.
        evaluations: number of evaluations of the searches to report.
        workers: number of workers of the searches to report.

    Raises:
        UserError: if the file or searches like these do not exist.
    """
    if not path.is_file():
        raise UserError(f"there are no results in {path}: run with --all first")
    rows = read_rows(path)
    missing = [
        name for name in ("sampler", "table", "seed", "evaluations", "workers", "to_best_0.1%") if name not in rows
    ]
    if missing:
        raise UserError(f"{path} is not a table of this benchmark: it has no column {missing[0]}")
    rows = rows[(rows["evaluations"] == evaluations) & (rows["workers"] == workers)]
    if rows.empty:
        raise UserError(f"{path} has no search with {evaluations} evaluations and {workers} workers")
    rows = rows.drop_duplicates(["sampler", "table", "seed"], keep="last")
    # A file of an earlier version may lack some columns.
    expected = [*(f"{w}_{m}" for w, marks in (("regret", MARKS), ("rank", RANKED)) for m in marks)]
    rows = rows.reindex(columns=list(dict.fromkeys([*rows.columns, *expected])))
    text = _markdown(rows, evaluations, workers)
    report = path if workers == 1 else path.with_stem(f"{path.stem}_{workers}_workers")
    report.with_suffix(".md").write_text(text, encoding="utf-8")
    _draw(rows, report.with_suffix(".html"))
    return text


def _mean(values: pd.Series) -> tuple[float, float]:
    """Return the mean of the known values, and half its 95 % interval."""
    known = values.dropna()
    return float(known.mean()), confidence_interval(known.tolist())


def _markdown(rows: pd.DataFrame, evaluations: int, workers: int) -> str:
    means = summary(rows)
    ranks, at = [f"rank_{mark}" for mark in RANKED], [f"after {mark}" for mark in RANKED]
    tables, each = rows["table"].nunique(), rows.groupby("sampler")["seed"].nunique()
    seeds = f"{each.max()}" if each.min() == each.max() else f"{each.min()} to {each.max()}"
    by_table = [("Evaluations to the best 0.1 %", "to_best_0.1%"), ("Rank of the best found after 100", "rank_100")]
    parts = [
        "# Number of evaluations that a sampler needs",
        f"Means over {tables} tables and {seeds} seeds, {evaluations} evaluations, workers: {workers}, with 95 % "
        "intervals over the searches. See ../README.md for the terms.",
        "## Regret of the best found",
        means_table(rows),
        "## Rank of the best found",
        _markdown_table(means, ranks, at, []),
        "## Seconds per proposal, invalid combinations",
        _markdown_table(means, [], [], ["ask_seconds", "slowest_ask_seconds", "invalid"]),
        f"## Regret minus that of {REFERENCE}, same table and seed",
        f"If positive, `{REFERENCE}` is better.",
        _markdown_table(
            paired(rows), [f"regret_{m}" for m in COMPARED], [f"after {m}" for m in COMPARED], ["pairs"], sign="+"
        ),
    ]
    for title, column in by_table:
        parts += [f"## {title}, by table", _by_table(rows, column, list(means["sampler"]))]
    return "\n\n".join(parts) + "\n"


def _markdown_table(
    frame: pd.DataFrame, measured: Sequence[str], titles: Sequence[str], plain: Sequence[str], sign: str = ""
) -> str:
    """Format a Markdown table: columns with their intervals, then plain columns."""
    heads = ["sampler", *titles, *(name.replace("_", " ") for name in plain)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in frame.to_dict("records"):
        cells = [_cell(row[c], row[f"{c}_interval"], sign) for c in measured] + [f"{row[c]:.4g}" for c in plain]
        lines.append(f"| {row['sampler']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(mean: float, interval: float, sign: str) -> str:
    if pd.isna(mean):
        return "-"
    return f"{mean:{sign}.3g}" + ("" if pd.isna(interval) else f" ± {interval:.2g}")


def _by_table(rows: pd.DataFrame, column: str, order: list[str]) -> str:
    means = rows.pivot_table(index="sampler", columns="table", values=column, dropna=False).reindex(order)
    lines = ["| sampler | " + " | ".join(t.replace(":", " ") for t in means.columns) + " |"]
    lines.append("|---" * (len(means.columns) + 1) + "|")
    for name, row in zip(means.index, means.to_numpy(), strict=True):
        lines.append(f"| {name} | " + " | ".join("-" if pd.isna(n) else f"{n:.3g}" for n in row) + " |")
    return "\n".join(lines)


def _draw(rows: pd.DataFrame, path: Path) -> None:
    import plotly.graph_objects as go

    figure = go.Figure()
    order = summary(rows)["sampler"]
    for sampler in order:
        own = rows[rows["sampler"] == sampler]
        points = [(mark, *_mean(own[f"regret_{mark}"])) for mark in MARKS]
        points = [point for point in points if not pd.isna(point[1])]
        marks, means, intervals = zip(*points, strict=True) if points else ((), (), ())
        error = {"type": "data", "array": intervals}
        figure.add_trace(go.Scatter(x=marks, y=means, error_y=error, mode="lines+markers", name=sampler))
    figure.update_layout(
        template="plotly_white",
        title="Regret of the best found, mean over tables and seeds (95 % interval)",
        xaxis={"title": "evaluations", "type": "log", "tickvals": MARKS},
        yaxis={"title": "regret: 0 is the table's best, 1 its median", "type": "log"},
    )
    figure.write_html(path, include_plotlyjs="cdn")
