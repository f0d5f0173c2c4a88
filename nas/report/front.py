"""The Pareto front of a search with several objectives."""

from __future__ import annotations

import math
import textwrap
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas.record import by_hash
from nas.report.numbers import count, score
from nas.runs.objectives import MIOU, as_points, non_domination_ranks

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from nas.runs.run import Run

__all__ = ["Front", "figures", "front_text", "read_front"]

BEYOND = 1.1
"""Reference point of the hypervolume, as a multiple of the largest costs."""

UNITS = {"latency": " ms", "memory": " MB", "seconds": " s"}


@dataclass(frozen=True)
class Front:
    """Fully trained candidates that no other one dominates, by descending mIoU.

    Attributes:
        objectives: names of the objectives, mIoU first.
        rows: name and objective values of each candidate.
        hypervolume: dominated share of the box between the reference point (mIoU 0 and 1.1 times the largest costs of
            a fully trained candidate, so that the most expensive one counts) and mIoU 1 at no cost.
    """

    objectives: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    hypervolume: float


def read_front(run: Run) -> Front | None:
    """Read the front of a run; None with a single objective or before the first full training."""
    objectives = run.settings.objectives
    if len(objectives) < 2 or not run.storage_exists():
        return None
    complete = [record for record in by_hash(run.study()).values() if record.outcome == "complete"]
    if not complete:
        return None
    points = as_points([t.values for t in complete])
    first = np.flatnonzero(non_domination_ranks(points) == 0)
    rows = [(complete[i].name, tuple(complete[i].values)) for i in first[np.argsort(-points[first, 0])]]
    most = -BEYOND * points[:, 1:].min(axis=0)
    share = _hypervolume(points[first], np.array([0.0, *-most])) / float(np.prod(most))
    return Front(objectives, tuple(rows), share)


def _hypervolume(points: np.ndarray, reference: np.ndarray) -> float:
    """Compute the volume that N x K points to maximize dominate, by slices of the last objective."""
    points = points[(points > reference).all(axis=1)]
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(points.max() - reference[0])
    total, floor = 0.0, reference[-1]
    for height in np.unique(points[:, -1]):
        slice_ = points[points[:, -1] >= height, :-1]
        total += (height - floor) * _hypervolume(slice_, reference[:-1])
        floor = height
    return float(total)


def format_value(objective: str, value: float) -> str:
    """Format the value of an objective with its unit."""
    if objective == MIOU:
        return score(value)
    return count(value) if objective in ("params", "macs") else f"{value:.3g}{UNITS[objective]}"


def front_text(front: Front, limit: int = 10) -> str:
    """Format the front in lines of at most 80 columns."""
    head = f"Pareto front of {', '.join(front.objectives)} (one seed), hypervolume {front.hypervolume:.3f}:"
    cells = [(name, *map(format_value, front.objectives, values)) for name, values in front.rows[:limit]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  " + "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    ]
    more = len(front.rows) - limit
    return "\n".join([*textwrap.wrap(head, 80), *lines, *([f"  and {more} more: see report.html"] if more > 0 else [])])


def figures(run: Run, front: Front) -> dict[str, go.Figure]:
    """Plot the front (with more than three objectives, one line per candidate) and its hypervolume over time."""
    import optuna

    study = run.study()
    names = list(front.objectives)
    complete = [t for t in study.get_trials(deepcopy=False) if t.values is not None and not math.isnan(t.values[0])]
    reference = [0.0, *(BEYOND * np.max([t.values[1:] for t in complete], axis=0))]
    drawn = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if len(names) <= 3:
            drawn["Front"] = optuna.visualization.plot_pareto_front(study, target_names=names)
        else:
            drawn["Front"] = _lines(front)
        drawn["Hypervolume"] = optuna.visualization.plot_hypervolume_history(study, reference)
    for figure in drawn.values():
        figure.update_layout(title=None, height=420, template="plotly_white")
    return drawn


def _lines(front: Front) -> go.Figure:
    """Plot one line per candidate through its objectives, each scaled from the worst to the best of the front.

    Plotly's own parallel coordinates compile code in the browser, which the page forbids.
    """
    import plotly.graph_objects as go

    points = np.array([values for _, values in front.rows]) * np.where(np.arange(len(front.objectives)), -1.0, 1.0)
    low, spread = points.min(axis=0), np.ptp(points, axis=0)
    places = (points - low) / np.where(spread > 0, spread, 1.0)
    figure = go.Figure()
    for (name, values), place in zip(front.rows, places, strict=True):
        labels = list(map(format_value, front.objectives, values))
        figure.add_scatter(x=front.objectives, y=place, text=labels, name=name, hovertemplate="%{x}: %{text}")
    return figure.update_yaxes(tickvals=[0, 1], ticktext=["worst", "best"])
