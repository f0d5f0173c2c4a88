"""The front of a search of several objectives: which candidates nothing else beats in everything."""

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
"""The costs that hypervolumes are measured from, over the largest ones."""

UNITS = {"latency": " ms", "memory": " MB", "seconds": " s"}


@dataclass(frozen=True)
class Front:
    """The candidates trained in full that none dominates, by falling mIoU.

    Attributes:
        objectives: their names, mIoU first.
        rows: a name and the value of each objective.
        hypervolume: what the front dominates, as a share of the box from mIoU 0 and a tenth more than the largest
            costs of a candidate trained in full (so that the dearest one counts) to mIoU 1 and costs of 0.
    """

    objectives: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    hypervolume: float


def read_front(run: Run) -> Front | None:
    """The front of a run; None where it has one objective, or nothing is trained in full yet."""
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
    """The volume between a reference and N x K points, the larger the better, by slices of the last objective."""
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


def shown(objective: str, value: float) -> str:
    """A value as people read it."""
    if objective == MIOU:
        return score(value)
    return count(value) if objective in ("params", "macs") else f"{value:.3g}{UNITS[objective]}"


def front_text(front: Front, limit: int = 10) -> str:
    """The front in lines of at most 80 columns."""
    head = f"Front of {', '.join(front.objectives)} (one seed), hypervolume {front.hypervolume:.3f}:"
    cells = [(name, *map(shown, front.objectives, values)) for name, values in front.rows[:limit]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  " + "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    ]
    more = len(front.rows) - limit
    return "\n".join([*textwrap.wrap(head, 80), *lines, *([f"  and {more} more: see report.html"] if more > 0 else [])])


def figures(run: Run, front: Front) -> dict[str, go.Figure]:
    """The front, of more than three objectives a line a candidate, and the hypervolume over time, as Optuna draws."""
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
    """A line a candidate of the front through the objectives, each from its worst on the front to its best.

    Plotly's own parallel coordinates compile code in the browser, which the page forbids.
    """
    import plotly.graph_objects as go

    points = np.array([values for _, values in front.rows]) * np.where(np.arange(len(front.objectives)), -1.0, 1.0)
    low, spread = points.min(axis=0), np.ptp(points, axis=0)
    places = (points - low) / np.where(spread > 0, spread, 1.0)
    figure = go.Figure()
    for (name, values), place in zip(front.rows, places, strict=True):
        told = list(map(shown, front.objectives, values))
        figure.add_scatter(x=front.objectives, y=place, text=told, name=name, hovertemplate="%{x}: %{text}")
    return figure.update_yaxes(tickvals=[0, 1], ticktext=["worst", "best"])
