"""Read what a report shows from a run's study, ranking and checkpoint."""

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
"""Fields of a recipe whose options the report compares."""

SMALLEST = "the smallest network among those within a standard error of the first"
BEST_AFTER_FINAL_TRAINING = "the best after the final training"

Parts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TrialFacts:
    """One trial.

    Attributes:
        name: its name in the ranking.
        outcome: one of `nas.record.OUTCOMES`, or "running" or "queued".
        score: last mIoU on the ranking split. Only a complete trial has that of a full training.
        rungs: mIoU by optimizer step.
        recipe: field names and values of the candidate as text, without defaults.
        choices: the option of each field in CHOICES, and "with" or "without" for each pretext task.
        costs_budget: whether it counts toward the budget.
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
    costs_budget: bool
    started: datetime | None
    ended: datetime | None


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau between the scores of `trials` complete trials at a rung and their final scores."""

    rung: int
    tau: float
    trials: int


@dataclass(frozen=True)
class Winner:
    """The winner of a run.

    Attributes:
        test_miou: None if no checkpoint holds it.
        test_iou: class names and their IoU; None for a class that does not occur.
        problem: why the test score is unknown, or empty.
        reason: why it won although it is not the first of the ranking, or empty.
    """

    name: str
    recipe: Parts
    test_miou: float | None
    test_iou: tuple[tuple[str, float | None], ...]
    problem: str
    reason: str = ""


def read_trials(run: Run) -> list[TrialFacts]:
    """Read every trial of a run in order; an empty list if the run has no study yet.

    Raises:
        UserError: when the study cannot be read.
    """
    if not run.storage_exists():
        return []
    with run.translated_errors():
        found = records(run.study())
    _import_components(run)
    tasks = sorted({name for record in found for name in _pretext(_recipe_data(record))})
    return [_facts(record, tasks) for record in found]


def _import_components(run: Run) -> None:
    """Import the component classes. Components of unknown classes are shown as stored."""
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
        costs_budget=record.costs_budget,
        started=record.trial.datetime_start,
        ended=record.trial.datetime_complete,
    )


def _recipe_data(record: TrialRecord) -> dict[str, Any]:
    """Return the stored JSON of the candidate, which can be read without its component classes."""
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
    """Return the norm and all fields that differ from their defaults."""
    parts = [(n, v) for n, v in field_values(recipe) if n == "norm" or v != getattr(type(recipe), n, None)]
    return tuple((name, text(value)) for name, value in parts)


def _kind(value: Any) -> str:
    """Shorten a stored value: a component to its class name, with its fields if all of them are text."""
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
    """Compute how well the scores at each rung predict the final order of the complete trials.

    Rungs with fewer than 3 trials and the last rung are left out.
    """
    from scipy.stats import kendalltau

    complete = [(t, t.score) for t in trials if t.outcome == "complete" and t.score is not None]
    found = []
    for rung in sorted({rung for t, _ in complete for rung in t.rungs}):
        pairs = [(t.rungs[rung], final) for t, final in complete if rung in t.rungs]
        if len(pairs) >= 3 and any(early != final for early, final in pairs):
            tau = kendalltau(*zip(*pairs, strict=True)).statistic
            if np.isfinite(tau):  # NaN if all scores at a rung are equal
                found.append(Agreement(rung, float(tau), len(pairs)))
    return found


def read_importance(run: Run) -> Importance | None:
    """Read the parameter importance that the search stored at its end; None if there is none."""
    if not run.storage_exists():
        return None
    data = run.study().user_attrs.get(ATTRIBUTE)
    return None if data is None else Importance.from_data(data)


def read_table(run: Run) -> pd.DataFrame | None:
    """Read the final ranking; None if the run has none yet."""
    if not (run.folder / "ranking.csv").exists():
        return None
    table = run.ranking
    return table if len(table) else None


def scored_on(run: Run) -> str:
    """Return the split that ranks candidates: "validation", or "test" without a hold-out."""
    return "validation" if run.settings.holdout else "test"


def find_winner(table: pd.DataFrame, run: Run, trials: Sequence[TrialFacts]) -> Winner:
    """Return the winner of the ranking with its recipe and test scores."""
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
            problem = f"{run.best_checkpoint.name} belongs to another candidate: finish the run with --resume"
    except UserError as error:
        problem = str(error)
    return Winner(str(first["name"]), recipe, miou, iou, problem, _reason(table, first["hash"]))


def _reason(table: pd.DataFrame, winner: str) -> str:
    """Return why the winner is not the first of the ranking; empty if it is."""
    ranked = table[~table["naive"].astype(bool)] if "naive" in table else table
    if winner == ranked["hash"].iloc[0]:
        return ""
    finals = ranked["final_miou"].notna().sum() if "final_miou" in ranked else 0
    return BEST_AFTER_FINAL_TRAINING if finals > 1 else SMALLEST
