"""What a report is made of, read from a run's study, table and checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.components import know_components
from nas.errors import UserError
from nas.insight.effects import ATTRIBUTE, Importance
from nas.record import TrialRecord, records
from nas.report.numbers import finite
from nas.space import SpaceError, candidate_hash, field_values, from_json
from nas.space.describe import text

if TYPE_CHECKING:
    import pandas as pd

    from nas.runs.run import Run
    from nas.space import Recipe

__all__ = [
    "Agreement",
    "TrialFacts",
    "Winner",
    "agreements",
    "find_winner",
    "read_importance",
    "read_table",
    "read_trials",
]

CHOICES = ("norm", "decoder", "method", "loss", "optimizer")
"""Fields of a recipe whose kinds are compared."""

SMALLER = "the smallest network of those that tie with the first, within a standard error"
BEST_IN_THE_END = "the best of those that went through the final training"

Parts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TrialFacts:
    """One trial.

    Attributes:
        name: what the ranking calls it.
        outcome: one of `nas.record.OUTCOMES`, or "running" or "queued".
        score: its last mIoU on the split that ranks: that of a full training only where it is complete.
        rungs: that mIoU by optimizer step.
        recipe: the candidate, a name and a text a field, as far as they say something.
        choices: the kind of each field in CHOICES, and "with" or "without" a pretext task.
        spends: whether it counts toward the budget.
    """

    number: int
    name: str
    outcome: str
    score: float | None
    rungs: dict[int, float]
    digest: str
    params: float | None
    seconds: float | None
    reason: str
    traceback: str
    baseline: int | None
    recipe: Parts
    choices: dict[str, str]
    spends: bool
    started: datetime | None
    ended: datetime | None


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau between the order of `trials` complete trials at a rung and at their end."""

    rung: int
    tau: float
    trials: int


@dataclass(frozen=True)
class Winner:
    """Who won; the test scores are None where no checkpoint tells them.

    Attributes:
        reason: why it won where it is not the first of the ranking; empty where it is.
    """

    name: str
    recipe: Parts
    test_miou: float | None
    test_iou: tuple[tuple[str, float | None], ...]
    problem: str
    reason: str = ""


def read_trials(run: Run) -> list[TrialFacts]:
    """Every trial of a run, in order; none where the run has not begun.

    Raises:
        UserError: when the study cannot be read.
    """
    if not run.storage_exists():
        return []
    with run.translated_errors():
        found = records(run.study())
    _know_components(run)
    tasks = sorted({name for record in found for name in _pretext(_recipe_data(record))})
    return [_facts(record, tasks) for record in found]


def _know_components(run: Run) -> None:
    """Import what recipes are made of. What stays unknown is shown as it is stored."""
    know_components()
    if (run.folder / "space.py").exists():
        try:
            run.space()
        except SpaceError:
            return


def _facts(record: TrialRecord, tasks: Sequence[str]) -> TrialFacts:
    waiting = "queued" if record.trial.state.name == "WAITING" else "running"
    rungs = {step: finite(value) for step, value in sorted(record.rungs.items())}
    data = _recipe_data(record)
    return TrialFacts(
        number=record.number,
        name=record.name,
        outcome=record.outcome or waiting,
        score=finite(record.score),
        rungs={step: value for step, value in rungs.items() if value is not None},
        digest=record.hash,
        params=finite(record.params),
        seconds=finite(record.seconds),
        reason=record.reason,
        traceback=record.traceback,
        baseline=record.baseline,
        recipe=_parts_of_json(record.candidate, data),
        choices=_choices(data, tasks),
        spends=record.costs_budget,
        started=record.trial.datetime_start,
        ended=record.trial.datetime_complete,
    )


def _recipe_data(record: TrialRecord) -> dict[str, Any]:
    """The candidate as stored, which needs no component to be known."""
    try:
        recipe = json.loads(record.candidate)["recipe"]
    except (KeyError, TypeError, ValueError):
        return {}
    return recipe if isinstance(recipe, dict) else {}


def _parts_of_json(stored: str, data: dict[str, Any]) -> Parts:
    try:
        return _parts(from_json(stored))
    except UserError:
        return tuple((name, _kind(value)) for name, value in data.items() if name != "type" and value)


def _parts(recipe: Recipe) -> Parts:
    """Fields that are not at their default, and the norm in any case: it is what people ask for first."""
    shown = [(n, v) for n, v in field_values(recipe) if n == "norm" or v != getattr(type(recipe), n, None)]
    return tuple((name, text(value)) for name, value in shown)


def _kind(value: Any) -> str:
    """A stored value in a word: a component by its class, with its texts where it holds nothing else."""
    if isinstance(value, dict):
        inner = [v for name, v in value.items() if name != "type"]
        plain = bool(inner) and all(isinstance(v, str) for v in inner)
        return f"{value.get('type')}({', '.join(inner)})" if plain and len(inner) > 1 else str(value.get("type"))
    if isinstance(value, list):
        return ", ".join(map(_kind, value))
    return "none" if value is None else str(value)


def _pretext(data: dict[str, Any]) -> set[str]:
    tasks = data.get("pretext") or []
    return {str(t.get("type")) for t in tasks if isinstance(t, dict) and t.get("weight", 1.0) > 0}


def _choices(data: dict[str, Any], tasks: Sequence[str]) -> dict[str, str]:
    if not data:
        return {}
    on = _pretext(data)
    kinds = {name: _kind(data[name]) for name in CHOICES if name in data}
    return kinds | {f"pretext {task}": "with" if task in on else "without" for task in tasks}


def agreements(trials: Sequence[TrialFacts]) -> list[Agreement]:
    """How well each rung foretold the final order, over complete trials; rungs with fewer than 3 are left out.

    So is the last rung, whose scores are the final ones.
    """
    from scipy.stats import kendalltau

    complete = [(t, t.score) for t in trials if t.outcome == "complete" and t.score is not None]
    found = []
    for rung in sorted({rung for t, _ in complete for rung in t.rungs}):
        pairs = [(t.rungs[rung], final) for t, final in complete if rung in t.rungs]
        if len(pairs) >= 3 and any(early != final for early, final in pairs):
            tau = kendalltau(*zip(*pairs, strict=True)).statistic
            if np.isfinite(tau):  # scores that are all equal at a rung are in no order
                found.append(Agreement(rung, float(tau), len(pairs)))
    return found


def read_importance(run: Run) -> Importance | None:
    """What mattered, as the search has noted it at its end; None where it has not."""
    if not run.storage_exists():
        return None
    data = run.study().user_attrs.get(ATTRIBUTE)
    return None if data is None else Importance.from_data(data)


def read_table(run: Run) -> pd.DataFrame | None:
    """The final table, or None where the run has not reached it."""
    if not (run.folder / "ranking.csv").exists():
        return None
    table = run.ranking
    return table if len(table) else None


def scored_on(run: Run) -> str:
    """The split that candidates are ranked on: without a holdout there is only that of the test."""
    return "validation" if run.settings.holdout else "test"


def find_winner(table: pd.DataFrame, run: Run, trials: Sequence[TrialFacts]) -> Winner:
    """The winner of the table, with its recipe and its test scores."""
    first = (table[table["winner"]] if "winner" in table else table).iloc[0]
    recipe: Parts = next((t.recipe for t in trials if t.digest == first["hash"] and t.recipe), ())
    iou: tuple[tuple[str, float | None], ...] = ()
    miou, problem = None, ""
    try:
        from nas.export import load_checkpoint

        found = load_checkpoint(run.best_checkpoint)
        if candidate_hash(found.candidate) == first["hash"]:
            recipe = _parts(found.candidate)
            miou = finite(found.metrics.get("test_miou"))
            by_class = found.metrics.get("test_iou") or ()
            iou = tuple(zip(found.classes, map(finite, by_class), strict=False))
        else:
            problem = f"{run.best_checkpoint.name} is not of this winner: finish the run with --resume"
    except UserError as error:
        problem = str(error)
    return Winner(str(first["name"]), recipe, miou, iou, problem, _reason(table, first["hash"]))


def _reason(table: pd.DataFrame, winner: str) -> str:
    """Why a contender won that is not the first of the ranking."""
    ranked = table[~table["naive"].astype(bool)] if "naive" in table else table
    if winner == ranked["hash"].iloc[0]:
        return ""
    finals = ranked["final_miou"].notna().sum() if "final_miou" in ranked else 0
    return BEST_IN_THE_END if finals > 1 else SMALLER
