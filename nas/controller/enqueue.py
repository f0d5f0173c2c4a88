"""Candidates that are tried before the sampler proposes any: baselines, then the best of an earlier run."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import optuna

from nas.components import know_components
from nas.errors import UserError
from nas.record import by_hash, enqueue
from nas.space import Recipe, SpaceError, candidate_hash, from_json, locate
from nas.wording import counted

if TYPE_CHECKING:
    from nas.runs.run import Run

__all__ = ["best_candidates", "queue_baselines", "queue_best_of"]

log = logging.getLogger("nas")

WARM_START = 5
"""Candidates that are taken over from an earlier run."""


def queue_baselines(study: optuna.Study, space: Recipe, order: Sequence[int] | None = None) -> None:
    """Queue the declared baselines, as points of the space where possible.

    Args:
        order: indices of the baselines in the order of their trials, by default the declared one.
    """
    for i in range(len(space.baselines)) if order is None else order:
        genes = locate(space, space.baselines[i])
        enqueue(study, genes or {}, baseline=i, baseline_name=space.baseline_name(i), outside_space=genes is None)


def queue_best_of(run: Run, study: optuna.Study, space: Recipe) -> None:
    """Queue the best candidates of an earlier run that are points of this space and not among its baselines."""
    know_components()
    best = best_candidates(run)
    baselines = {candidate_hash(baseline.candidate()) for baseline in space.baselines}
    inside = 0
    for stored in best:
        try:
            candidate = from_json(stored)
        except SpaceError:  # a component that this space does not know
            continue
        genes = locate(space, candidate)
        if genes is not None:
            inside += 1
            if candidate_hash(candidate) not in baselines:
                enqueue(study, genes)
    found = counted(len(best), "best candidate")
    log.info("%s of %s; points of this space: %d.", found, os.path.relpath(run.folder), inside)


def best_candidates(run: Run, count: int = WARM_START) -> list[str]:
    """The JSON of a run's best candidates: those of its final ranking, then those with the best score in the search.

    Raises:
        UserError: no candidate of the run was trained in full.
    """
    known = by_hash(run.study()) if run.storage_exists() else {}
    complete = {digest: record for digest, record in known.items() if record.outcome == "complete"}
    ranked = list(run.ranking["hash"]) if (run.folder / "ranking.csv").exists() else []
    others = sorted(complete.keys() - set(ranked), key=lambda digest: -complete[digest].values[0])
    found = [complete[digest].candidate for digest in (*ranked, *others) if digest in complete]
    if not found:
        raise UserError(f"--warm-start {run.folder}: it has no candidate that was trained in full")
    return found[:count]
