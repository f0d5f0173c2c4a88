"""What a search tells its user about data, settings and methods."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import optuna

from nas import record
from nas.runs.run import Run
from nas.runs.settings import FEWEST_STEPS, Settings
from nas.space import Choice, Recipe
from nas.wording import counted

__all__ = ["advise", "headline", "log_refused", "warn_of_few_steps", "warn_of_findings"]

log = logging.getLogger("nas")


def headline(run: Run, data: Any, slots: int) -> str:
    """One sentence: which space is searched, on which images, by how many workers."""
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
    """Log what the quick check of the data finds beside the warnings of its summary."""
    from nas.tasks.data.doctor import quick_check

    told = () if data.summary is None else data.summary.warnings
    for finding in quick_check(data):
        if finding.what not in told:
            log.warning("%s: %s. %s", finding.what, ", ".join(finding.where[:3]), finding.fix)


def warn_of_few_steps(settings: Settings, limited: bool) -> None:
    """Log a warning when trainings are too short for few labels.

    Args:
        limited: whether a limit on time made them short.
    """
    steps = settings.full_steps
    # Where time is limited, candidates are compared after fewer steps than the winner is trained for in the end.
    if steps < (FEWEST_STEPS // 2 if limited else FEWEST_STEPS):
        more = "time (--max-time)" if limited else "--steps"
        log.warning(
            "A training of %d steps is short: with few labels scores settle at some %d. Give more %s, or a smaller "
            "--size.",
            steps,
            FEWEST_STEPS,
            more,
        )


def advise(space: Recipe, data: Any) -> set[str]:
    """Log each method's warnings about the data, once; return them."""
    labelled, unlabelled = len(data.labelled.images), len(data.unlabelled.images)
    methods = space.method.options if isinstance(space.method, Choice) else (space.method,)
    advice = {type(method).__name__: method.advice(labelled, unlabelled) for method in methods}
    given = {name: text for name, text in advice.items() if text}
    if given and not unlabelled:
        log.warning("No unlabelled images: supervised training stands in for %s.", ", ".join(given))
    else:
        for text in dict.fromkeys(given.values()):
            log.warning("%s.", text)
    return set(given.values())


def log_refused(study: optuna.Study) -> None:
    """Log how many draws broke a constraint of the space."""
    refused = record.refused(study)
    if refused:
        draws, last = counted(len(refused), "draw"), refused[-1].user_attrs["reason"]
        log.info("Besides these, %s not trained, the last because %s.", draws, last)
