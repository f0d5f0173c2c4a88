"""Zero-cost screening: many candidates are drawn, and those tried first that promise most before any training."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nas.controller.explore import FRUITLESS, broken_constraint
from nas.interrupt import check
from nas.space import candidate_hash, draw, genes_of

if TYPE_CHECKING:
    import optuna

    from nas.space import Recipe

__all__ = ["promising", "queue_promising"]

SHARE = 0.1
"""The part of the drawn candidates that is tried."""


def queue_promising(
    study: optuna.Study,
    space: Recipe,
    count: int,
    cost_of: Callable[[Recipe], dict[str, Any]],
    seed: int,
    drawn: Callable[[], object] = lambda: None,
) -> tuple[int, int]:
    """Draw candidates and have the most promising tenth tried next, the best first.

    Args:
        count: how many to draw; those that break a constraint or cannot be built are drawn anew.
        cost_of: parameters and multiply-adds of a candidate, by these names; raises when it cannot be built.
        drawn: called after each draw.

    Returns:
        How many were drawn, and how many of them are tried.
    """
    rng = random.Random(f"screening {seed}")
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    fruitless = 0
    while len(found) < count and fruitless < FRUITLESS:
        check()
        candidate, genes = genes_of(space, draw(rng))
        digest = candidate_hash(candidate.candidate())
        costs = None if digest in found else _costs(space, candidate.candidate(), cost_of)
        if costs is None:
            fruitless += 1
            continue
        fruitless = 0
        found[digest] = genes, costs
        drawn()
    chosen = promising([costs for _, costs in found.values()], max(round(SHARE * len(found)), 1))
    genes_drawn = [genes for genes, _ in found.values()]
    for i in chosen:
        study.enqueue_trial(genes_drawn[i])
    return len(found), len(chosen)


def promising(costs: list[dict[str, Any]], count: int) -> list[int]:
    """The numbers of the most promising candidates: those of the highest mean rank in parameters and multiply-adds.

    Of the scores that need no training, hardly one ranks better than size in every space (Li et al. 2023, ZiCo).
    Those of activations and gradients do on cells of one kind; across norms, decoders and losses they say nothing.
    """
    ranks = [0] * len(costs)
    for name in ("params", "macs"):
        values = [found[name] for found in costs]
        place = {value: i for i, value in enumerate(sorted(set(values)))}
        ranks = [rank + place[value] for rank, value in zip(ranks, values, strict=True)]
    return sorted(range(len(costs)), key=lambda i: -ranks[i])[:count]


def _costs(space: Recipe, candidate: Recipe, cost_of: Callable[[Recipe], dict[str, Any]]) -> dict[str, Any] | None:
    """The costs of a candidate, or None for one that breaks a constraint or cannot be built."""
    try:
        return cost_of(candidate) if broken_constraint(space, candidate) is None else None
    except (Exception, SystemExit):  # a space may hold parts of anyone's making
        return None
