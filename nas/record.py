"""The record of a trial: what a search stores of each candidate in its Optuna study.

No other module reads or writes these attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

__all__ = [
    "OUTCOMES",
    "TrialRecord",
    "by_hash",
    "end",
    "enqueue",
    "records",
    "report",
    "requeue",
    "unfinished",
    "used_budget",
    "write",
]

OUTCOMES = ("complete", "pruned", "infeasible", "failed", "lost", "duplicate")
"""Each trial ends as exactly one of these. Optuna itself knows COMPLETE, PRUNED and FAIL."""

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}

INHERITED = ("baseline", "baseline_name", "outside_space", "continues")
"""Fields that a trial passes on to the one that is queued in its place."""


@dataclass(frozen=True)
class TrialRecord:
    """What a search stores of a trial, in addition to Optuna's own record.

    Attributes:
        trial: Optuna's own record.
        candidate: JSON of the candidate; every trial of a search has it from its start.
        hash: hash of the candidate.
        baseline: index of the baseline in the space file, None for other candidates.
        baseline_name: name of the baseline in the space file.
        outside_space: whether the baseline is not a point of the space.
        continues: number of the first trial of this candidate where this one resumes its training. Optuna cannot
            reopen a trial that has ended, so there are two; the later one counts, and costs no budget.
        outcome: one of OUTCOMES, None while the trial runs.
        reason: why it ended as it did.
        traceback: traceback of a failed trial.
        free: whether it ended without a worker, and so costs no budget.
        duplicate_of: number of the trial whose result a duplicate repeats.
        rungs: validation mIoU by step.
        partial: of a pruned trial with several objectives, its last step and each objective there. Optuna's own
            reports serve a single objective.
        params: number of parameters.
        macs: multiply-adds of one image.
        steps: optimizer steps trained for.
        seconds: duration of the training, that of continued trials included.
        step_seconds: seconds of one step.
        peak_mb: peak memory in megabytes.
        latency_ms: latency of one image, None where it was not measured.
        logs: curves of the training.
        cached: whether it was trained on cached features of a frozen encoder.
        warnings: warnings of the training.
    """

    trial: FrozenTrial = field(repr=False)
    candidate: str = ""
    hash: str = ""
    baseline: int | None = None
    baseline_name: str = ""
    outside_space: bool = False
    continues: int | None = None
    outcome: str | None = None
    reason: str = ""
    traceback: str = ""
    free: bool = False
    duplicate_of: int | None = None
    rungs: dict[int, float] = field(default_factory=dict)
    partial: Sequence[float] | None = None
    params: float | None = None
    macs: float | None = None
    steps: int | None = None
    seconds: float | None = None
    step_seconds: float | None = None
    peak_mb: float | None = None
    latency_ms: float | None = None
    logs: dict[str, Any] = field(default_factory=dict)
    cached: bool = False
    warnings: Sequence[str] = ()

    @classmethod
    def of(cls, trial: FrozenTrial | optuna.Trial) -> TrialRecord:
        """Read the record of a trial.

        An ended trial without a candidate comes from another program. Its user attributes are ignored.
        """
        frozen = trial if isinstance(trial, FrozenTrial) else trial.storage.get_trial(trial._trial_id)
        attrs = frozen.user_attrs
        if frozen.state.is_finished() and "candidate" not in attrs:
            attrs = {}
        stored = {name: attrs[key] for name, key in _KEYS.items() if key in attrs}
        # Optuna serves reports of a single objective only.
        rungs = frozen.intermediate_values or {int(rung): value for rung, value in attrs.get("rungs", {}).items()}
        return cls(**{**stored, "trial": frozen, "rungs": dict(rungs)})

    @property
    def number(self) -> int:
        """Number of the trial in its study."""
        return self.trial.number

    @property
    def first_number(self) -> int:
        """Number of the first trial of this candidate: an earlier one where this one continues it."""
        return self.number if self.continues is None else self.continues

    @property
    def name(self) -> str:
        """Display name: that of the baseline, or the number of the first trial of this candidate."""
        if self.baseline is None:
            return f"trial {self.first_number}"
        return self.baseline_name or f"baseline {self.baseline}"

    @property
    def values(self) -> list[float]:
        """The objectives of a complete trial, mIoU first; empty where the trial has none."""
        return self.trial.values or []

    @property
    def score(self) -> float | None:
        """The last validation mIoU: of the full training where the trial is complete."""
        if self.values:
            return self.values[0]
        return self.rungs[max(self.rungs)] if self.rungs else None

    @property
    def costs_budget(self) -> bool:
        """Whether a worker trained the trial to its end, and it does not continue an earlier one."""
        ended = self.outcome is not None and self.outcome not in ("lost", "duplicate")
        return ended and not self.free and self.continues is None


_KEYS = {f.name: f.name for f in fields(TrialRecord)} | {"baseline_name": "name", "outside_space": "outside the space"}
"""The user attribute that each field is stored in."""


def write(trial: optuna.Trial, **content: Any) -> None:
    """Store fields of a trial's record."""
    for name, value in content.items():
        trial.set_user_attr(_KEYS[name], value)


def end(
    study: optuna.Study,
    trial: optuna.Trial,
    outcome: str,
    values: float | Sequence[float] | None = None,
    state: TrialState | None = None,
    **content: Any,
) -> None:
    """End a trial as one of OUTCOMES, and store fields of its record.

    Args:
        values: the objectives of a complete trial.
        state: Optuna's state where the outcome does not tell it: a duplicate takes that of the first trial.
    """
    write(trial, outcome=outcome, **content)
    state = state or STATES.get(outcome, TrialState.FAIL)
    study.tell(trial, values if state == TrialState.COMPLETE else None, state=state)


def report(study: optuna.Study, trial: optuna.Trial, rung: int, value: float) -> None:
    """Store the validation mIoU at a rung."""
    if len(study.directions) == 1:
        trial.report(value, rung)
    else:
        trial.set_user_attr("rungs", {**trial.user_attrs.get("rungs", {}), str(rung): value})


def enqueue(study: optuna.Study, params: dict[str, Any], **content: Any) -> None:
    """Queue a trial with given parameters, and store `content` in its record."""
    study.enqueue_trial(params, user_attrs={_KEYS[name]: value for name, value in content.items()})


def requeue(study: optuna.Study, record: TrialRecord, **content: Any) -> None:
    """Queue a trial in the place of another one, whose parameters and baseline it takes."""
    attrs = record.trial.user_attrs
    inherited = {name: attrs[_KEYS[name]] for name in INHERITED if _KEYS[name] in attrs}
    enqueue(study, record.trial.params, **{**inherited, **content})


def records(study: optuna.Study) -> list[TrialRecord]:
    """The records of all trials, by number."""
    return [TrialRecord.of(trial) for trial in study.get_trials(deepcopy=False)]


def by_hash(study: optuna.Study) -> dict[str, TrialRecord]:
    """The first ended trial of each candidate that a worker trained, or the last one that continued it."""
    found: dict[str, TrialRecord] = {}
    for record in records(study):
        if record.costs_budget:
            found.setdefault(record.hash, record)
        elif record.continues is not None and record.outcome in STATES:
            found[record.hash] = record
    return found


def used_budget(study: optuna.Study) -> int:
    """Number of trials that count toward the budget."""
    return sum(record.costs_budget for record in records(study))


def unfinished(study: optuna.Study) -> list[optuna.Trial]:
    """Trials that are being trained, by this process or by one that has died."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [optuna.Trial(study, frozen._trial_id) for frozen in running]
