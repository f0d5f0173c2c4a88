"""What a search tries before it asks its sampler: the declared baselines, then winners of an earlier run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import optuna

from nas.errors import UserError
from nas.record import by_hash, enqueue
from nas.space import Recipe, SpaceError, candidate_hash, from_json, locate

if TYPE_CHECKING:
    from nas.runs.run import Run

__all__ = ["WINNERS", "best_of", "queue_baselines", "queue_winners"]

WINNERS = 5
"""Candidates that are taken over from an earlier run."""


def queue_baselines(study: optuna.Study, space: Recipe, order: Sequence[int] | None = None) -> None:
    """Have the declared baselines tried first; as points of the space where they are some.

    Args:
        order: their numbers in the order in which they are tried, by default the declared one.
    """
    for i in range(len(space.baselines)) if order is None else order:
        baseline = space.baselines[i]
        genes = locate(space, baseline)
        enqueue(study, genes or {}, baseline=i, baseline_name=space.baseline_name(i), outside_space=genes is None)


def best_of(run: Run, count: int = WINNERS) -> list[str]:
    """The JSON of a run's best candidates, the best first: those of its final ranking, then by their search score.

    Raises:
        UserError: when the run has trained nothing to its end.
    """
    known = by_hash(run.study()) if run.storage_exists() else {}
    complete = {digest: record for digest, record in known.items() if record.outcome == "complete"}
    ranked = list(run.ranking["hash"]) if (run.folder / "ranking.csv").exists() else []
    others = sorted(complete.keys() - set(ranked), key=lambda digest: -complete[digest].values[0])
    found = [complete[digest].candidate for digest in (*ranked, *others) if digest in complete]
    if not found:
        raise UserError(f"--warm-start {run.folder}: it has no candidate that was trained to its end")
    return found[:count]


def queue_winners(study: optuna.Study, space: Recipe, winners: list[str]) -> int:
    """Have candidates of an earlier run tried next; returns how many are points of this space, and so are."""
    seen = {candidate_hash(baseline.candidate()) for baseline in space.baselines}
    queued = 0
    for stored in winners:
        try:
            candidate = from_json(stored)
        except SpaceError:  # a component that this space does not know
            continue
        genes = locate(space, candidate)
        if genes is not None:
            queued += 1
            if candidate_hash(candidate) not in seen:
                study.enqueue_trial(genes)
    return queued
