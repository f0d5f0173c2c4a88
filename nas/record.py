"""How a candidate's life is written down in an Optuna study: outcomes, attributes, and what counts as budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

__all__ = [
    "OUTCOMES",
    "by_hash",
    "candidate_of",
    "end",
    "first_number",
    "name",
    "notes",
    "outcome",
    "refused",
    "report",
    "rungs",
    "score",
    "spent",
    "unfinished",
]

OUTCOMES = ("complete", "pruned", "infeasible", "failed", "lost", "duplicate")
"""Each trial ends as exactly one of these. Optuna itself knows COMPLETE, PRUNED and FAIL."""

CANDIDATE = "candidate"
"""Attribute that every trial of a search has from its start: the JSON of the candidate."""

NAME = "name"
"""Attribute of a baseline's trial: what the space file calls it."""

PARTIAL = "partial"
"""Attribute of a pruned trial of several objectives: the step it reached, then each objective there. Optuna's own
reports serve one objective only."""

RUNGS = "rungs"
"""Attribute of a trial of several objectives: the first of them by step."""

CONTINUES = "continues"
"""Attribute of a trial that trains on what an earlier one began: the number of the first. Optuna lets no trial that
has ended go on, so there are two of the same candidate; the later one counts, and costs no budget."""

FREE = "free"
"""Attribute of a trial that used no worker, and so costs no budget."""

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}


def end(
    study: optuna.Study,
    trial: optuna.Trial,
    how: str,
    values: float | Sequence[float] | None = None,
    state: TrialState | None = None,
    **attrs: Any,
) -> None:
    """End a trial as one of OUTCOMES, with what is to be remembered of it.

    `state` is Optuna's, where the outcome alone does not tell it: a duplicate takes that of the first.
    """
    for name, content in {"outcome": how, **attrs}.items():
        trial.set_user_attr(name, content)
    state = state or STATES.get(how, TrialState.FAIL)
    study.tell(trial, values if state == TrialState.COMPLETE else None, state=state)


def report(study: optuna.Study, trial: optuna.Trial, rung: int, value: float) -> None:
    """Write down a validation mIoU at a rung."""
    if len(study.directions) == 1:
        trial.report(value, rung)
    else:
        trial.set_user_attr(RUNGS, {**trial.user_attrs.get(RUNGS, {}), str(rung): value})


def rungs(trial: FrozenTrial) -> dict[int, float]:
    """Validation mIoU by rung."""
    kept = trial.user_attrs.get(RUNGS, {})
    return dict(trial.intermediate_values) or {int(rung): value for rung, value in kept.items()}


def score(trial: FrozenTrial) -> float | None:
    """The last validation mIoU: that of the full training where the trial is complete."""
    if trial.values is not None:
        return trial.values[0]
    reached = rungs(trial)
    return reached[max(reached)] if reached else None


def outcome(trial: FrozenTrial) -> str | None:
    """How a trial ended, or None while it has not."""
    return trial.user_attrs.get("outcome")


def notes(trial: FrozenTrial) -> Mapping[str, Any]:
    """The attributes that a search wrote; none of a trial of another program, whose names are its own."""
    return trial.user_attrs if CANDIDATE in trial.user_attrs else {}


def candidate_of(trial: FrozenTrial) -> str:
    """The JSON of a trial's candidate."""
    return trial.user_attrs[CANDIDATE]


def spent(study: optuna.Study) -> int:
    """How much of the budget is used by trials that have ended."""
    return sum(costs_budget(t) for t in study.get_trials(deepcopy=False))


def costs_budget(trial: FrozenTrial) -> bool:
    """Whether a trial has ended and a worker has trained it, and it was not begun by an earlier one."""
    how, attrs = outcome(trial), trial.user_attrs
    return (
        how is not None and how not in ("lost", "duplicate") and not attrs.get(FREE, False) and CONTINUES not in attrs
    )


def first_number(trial: FrozenTrial | optuna.Trial) -> int:
    """The number of the trial that began a candidate: an earlier one where this one continues it."""
    return int(trial.user_attrs.get(CONTINUES, trial.number))


def name(trial: FrozenTrial | optuna.Trial) -> str:
    """What people know a trial by: a baseline's name, or the number of the trial that began the candidate."""
    attrs = trial.user_attrs
    if attrs.get("baseline") is None:
        return f"trial {first_number(trial)}"
    return str(attrs.get(NAME, f"baseline {attrs['baseline']}"))


def refused(study: optuna.Study) -> list[FrozenTrial]:
    """Draws that broke a constraint of the space, for which no worker was needed."""
    return [t for t in study.get_trials(deepcopy=False) if outcome(t) == "infeasible" and t.user_attrs.get(FREE, False)]


def unfinished(study: optuna.Study) -> list[optuna.Trial]:
    """Trials that were being trained, by this process or by one that is gone."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [optuna.Trial(study, frozen._trial_id) for frozen in running]


def by_hash(study: optuna.Study) -> dict[str, FrozenTrial]:
    """The first finished trial of each candidate that a worker trained, or the last one that continued it."""
    found: dict[str, FrozenTrial] = {}
    for trial in study.get_trials(deepcopy=False):
        if costs_budget(trial) and "hash" in trial.user_attrs:
            found.setdefault(trial.user_attrs["hash"], trial)
        elif CONTINUES in trial.user_attrs and outcome(trial) in STATES:
            found[trial.user_attrs["hash"]] = trial
    return found
