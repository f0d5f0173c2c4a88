"""Figures of a report, drawn from its trials."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go

from nas.report.facts import TrialFacts
from nas.report.numbers import score

__all__ = ["choices", "history", "rungs", "tradeoff"]

# Okabe and Ito's colours are safe for most colour-blind people; the symbols differ as well.
STYLE: dict[str, tuple[str, str]] = {
    "complete": ("#0072b2", "circle"),
    "pruned": ("#999999", "circle-open"),
    "infeasible": ("#cc79a7", "triangle-up"),
    "failed": ("#d55e00", "x"),
    "lost": ("#e69f00", "diamond-open"),
}
BEST = "#009e73"
MIOU = "mIoU"


def history(trials: Sequence[TrialFacts]) -> go.Figure | None:
    """Plot the score of each trial by outcome, and the best so far. Trials without a score are below the others."""
    scored = [t.score for t in trials if t.score is not None]
    if not trials:
        return None
    below = min(scored, default=0.0) - 0.06 * ((max(scored, default=0.0) - min(scored, default=0.0)) or 1.0)
    figure = _figure("trial", MIOU)
    for outcome, (colour, symbol) in STYLE.items():
        some = [t for t in trials if t.outcome == outcome]
        figure.add_scatter(
            x=[t.number for t in some],
            y=[below if t.score is None else t.score for t in some],
            mode="markers",
            name=outcome,
            marker={"color": colour, "symbol": symbol, "size": 8},
            text=[_hover(t, t.reason or _score(t)) for t in some],
            hoverinfo="text",
            visible=True if some else "legendonly",
            showlegend=bool(some),
        )
    best = _running_best(trials)
    if best:
        numbers, values = zip(*best, strict=True)
        figure.add_scatter(x=numbers, y=values, mode="lines", name="best so far", line={"color": BEST, "shape": "hv"})
    return figure


def _running_best(trials: Sequence[TrialFacts]) -> list[tuple[int, float]]:
    best: list[tuple[int, float]] = []
    for trial in trials:
        if trial.outcome == "complete" and trial.score is not None:
            best.append((trial.number, max(trial.score, best[-1][1] if best else trial.score)))
    if best:
        best.append((trials[-1].number, best[-1][1]))
    return best


def rungs(trials: Sequence[TrialFacts]) -> go.Figure | None:
    """Plot the score by optimizer step, one line per trial."""
    figure = _figure("optimizer steps", MIOU)
    for outcome in ("pruned", "complete"):
        some = [t for t in trials if t.outcome == outcome and t.rungs]
        x: list[float | None] = []
        y: list[float | None] = []
        texts: list[str] = []
        for trial in some:
            # One trace holds all lines, separated by gaps: thousands of traces would make the page slow.
            x += [*trial.rungs, None]
            y += [*trial.rungs.values(), None]
            texts += [_hover(trial, f"step {step}: {score(value)}") for step, value in trial.rungs.items()] + [""]
        if some:
            colour, symbol = STYLE[outcome]
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines+markers",
                name=outcome,
                line={"color": colour, "width": 1},
                marker={"symbol": symbol, "size": 6},
                opacity=0.8,
                text=texts,
                hoverinfo="text",
            )
    return figure if figure.data else None


def tradeoff(trials: Sequence[TrialFacts]) -> go.Figure | None:
    """Plot the score of full trainings against the number of parameters. Hovering shows the recipe."""
    figure = _figure("parameters", MIOU)
    figure.update_xaxes(type="log", exponentformat="SI", dtick="D2")
    kinds: list[tuple[str, Callable[[TrialFacts], bool], str, str]] = [
        ("found", lambda t: t.baseline is None, "#0072b2", "circle"),
        ("baseline", lambda t: t.baseline is not None, "#e69f00", "star"),
    ]
    complete = [t for t in trials if t.outcome == "complete" and t.score is not None and (t.params or 0) > 0]
    for name, belongs, colour, symbol in kinds:
        some = [t for t in complete if belongs(t)]
        if some:
            figure.add_scatter(
                x=[t.params for t in some],
                y=[t.score for t in some],
                mode="markers",
                name=name,
                marker={"color": colour, "symbol": symbol, "size": 10},
                text=[_hover(t, _score(t), recipe=True) for t in some],
                hoverinfo="text",
            )
    return figure if figure.data else None


def choices(trials: Sequence[TrialFacts]) -> dict[str, go.Figure]:
    """Plot the scores by option, one figure for each choice with at least two trained options."""
    trained = [t for t in trials if t.outcome in ("complete", "pruned") and t.score is not None]
    names = dict.fromkeys(name for t in trained for name in t.choices)
    levels = {name: sorted({t.choices[name] for t in trained if name in t.choices}) for name in names}
    return {name: _choice(name, found, trained) for name, found in levels.items() if len(found) > 1}


def _choice(name: str, levels: Sequence[str], trained: Sequence[TrialFacts]) -> go.Figure:
    figure = _figure(MIOU, "")
    for level in reversed(levels):
        some = [t for t in trained if t.choices.get(name) == level]
        full = [t for t in some if t.outcome == "complete"]
        stopped = [t for t in some if t.outcome == "pruned"]
        label = f"{html.escape(level)}<br>{len(full)} of {len(some)}"
        figure.add_scatter(y=[label] * len(stopped), **_strip(stopped, "pruned"))
        figure.add_box(
            x=[t.score for t in full],
            y=[label] * len(full),
            orientation="h",
            boxpoints="all",
            jitter=0.4,
            pointpos=0,
            line={"color": "#0072b2", "width": 1},
            fillcolor="rgba(0, 114, 178, 0.15)",
            marker={"size": 6},
            text=[_hover(t, _score(t)) for t in full],
            hoverinfo="text",
        )
    figure.update_layout(showlegend=False, height=110 + 60 * len(levels), margin={"l": 110})
    figure.update_yaxes(type="category", automargin=True)
    return figure


def _strip(some: Sequence[TrialFacts], outcome: str) -> dict[str, Any]:
    colour, symbol = STYLE[outcome]
    return {
        "x": [t.score for t in some],
        "mode": "markers",
        "marker": {"color": colour, "symbol": symbol, "size": 6},
        "opacity": 0.6,
        "text": [_hover(t, _score(t)) for t in some],
        "hoverinfo": "text",
    }


def _score(trial: TrialFacts) -> str:
    return f"{trial.outcome}, mIoU {score(trial.score)}"


def _hover(trial: TrialFacts, what: str, recipe: bool = False) -> str:
    """Return the hover text of a trial, escaped: Plotly renders some HTML in it."""
    lines = [trial.name, *textwrap.wrap(textwrap.shorten(what, 300, placeholder=" ..."), 60)]
    if recipe:
        for name, content in trial.recipe:
            lines += textwrap.wrap(f"{name}: {content}", 60, subsequent_indent="  ", break_on_hyphens=False)
    return "<br>".join(map(html.escape, lines))


def _figure(x: str, y: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template="plotly_white",
        xaxis_title=x,
        yaxis_title=y,
        margin={"l": 55, "r": 10, "t": 10, "b": 45},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        hoverlabel={"align": "left"},
        font={"size": 13},
        height=380,
    )
    return figure
