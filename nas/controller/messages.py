"""Messages of a search about data, settings and methods."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import optuna

from nas.record import records
from nas.runs.run import Run
from nas.runs.settings import BASE_STEPS, Settings
from nas.space import Choice, Recipe
from nas.wording import counted

__all__ = ["headline", "log_method_advice", "log_refused", "warn_of_few_steps", "warn_of_findings"]

log = logging.getLogger("nas")


def headline(run: Run, data: Any, slots: int) -> str:
    """The first line of a search: the space, the images and the number of workers."""
    settings = run.settings
    unlabelled, validation = len(data.unlabelled.images), len(data.validation.images)
    scored = "ranked on" if settings.holdout else "scored on the test split's"
    out = sum(out.count for out in data.summary.left_out) if data.summary else 0
    unused = f", {out} left out" if out else ""
    at = f"{data.size[0]}x{data.size[1]}"
    if settings.search_size and settings.size:
        at += f", the winner trained at {settings.size[0]}x{settings.size[1]}"
    return (
        f"Searching {Path(settings.space).name} on {data.name}, {at}: "
        f"{len(data.labelled.images)} labelled and {unlabelled} unlabelled images{unused}, "
        f"{scored} {validation}, {counted(slots, 'worker')}, run {run.folder}"
    )


def warn_of_findings(data: Any) -> None:
    """Log the findings of the quick data check that the summary does not warn of already."""
    from nas.tasks.data.doctor import quick_check

    known = () if data.summary is None else data.summary.warnings
    for finding in quick_check(data):
        if finding.what not in known:
            log.warning("%s: %s. %s", finding.what, ", ".join(finding.where[:3]), finding.fix)


def warn_of_few_steps(settings: Settings, limited: bool) -> None:
    """Log a warning if trainings are too short for few labels.

    Args:
        limited: whether there is a time limit.
    """
    steps = settings.full_steps
    # With a time limit candidates are compared after fewer steps, but the winner is trained for longer.
    if steps < (BASE_STEPS // 2 if limited else BASE_STEPS):
        more = "time (--max-time)" if limited else "--steps"
        log.warning(
            "A training of %d steps is short: with few labels, scores settle after about %d. Give more %s, or a "
            "smaller --size.",
            steps,
            BASE_STEPS,
            more,
        )


def log_method_advice(space: Recipe, data: Any) -> set[str]:
    """Log each method's warnings about the data once, and return them."""
    labelled, unlabelled = len(data.labelled.images), len(data.unlabelled.images)
    methods = space.method.options if isinstance(space.method, Choice) else (space.method,)
    advice = {type(method).__name__: method.advice(labelled, unlabelled) for method in methods}
    given = {name: text for name, text in advice.items() if text}
    if given and not unlabelled:
        log.warning("No unlabelled images: %s will train on the labelled images only.", ", ".join(given))
    else:
        for text in dict.fromkeys(given.values()):
            log.warning("%s.", text)
    return set(given.values())


def log_refused(study: optuna.Study) -> None:
    """Log how many proposals broke a constraint of the space."""
    refused = [record for record in records(study) if record.outcome == "infeasible" and record.free]
    if refused:
        proposals, last = counted(len(refused), "proposal"), refused[-1].reason
        log.info("Not trained for breaking a constraint: %s. The last one: %s.", proposals, last)
