"""Zero-cost screening: draw many candidates, and try those first that are most promising before any training."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from nas.controller.constraints import broken_constraint
from nas.controller.explore import MAX_FRUITLESS
from nas.interrupt import check
from nas.record import enqueue
from nas.space import candidate_hash, draw, genes_of

if TYPE_CHECKING:
    import optuna

    from nas.space import Recipe

__all__ = ["most_promising", "queue_promising"]

log = logging.getLogger("nas")

SHARE = 0.1
"""Share of the drawn candidates that is tried."""


def queue_promising(
    study: optuna.Study, space: Recipe, count: int, cost_of: Callable[[Recipe], dict[str, Any]], seed: int
) -> tuple[int, int]:
    """Draw candidates and queue the most promising tenth, the best first.

    Args:
        count: candidates to draw; those that break a constraint or cannot be built are drawn again.
        cost_of: parameters and multiply-adds of a candidate, by these names; raises if it cannot be built.
        seed: seed of the draws.

    Returns:
        The numbers of candidates that were drawn and queued.
    """
    with tqdm(total=count, desc="Screening", unit="candidate", ncols=80, leave=False, disable=None) as bar:
        drawn = _draw(space, count, cost_of, seed, bar.update)
    chosen = most_promising([costs for _, costs in drawn], max(round(SHARE * len(drawn)), 1))
    for i in chosen:
        enqueue(study, drawn[i][0])
    log.info("Of %d candidates drawn, the %d most promising are tried first.", len(drawn), len(chosen))
    return len(drawn), len(chosen)


def _draw(
    space: Recipe, count: int, cost_of: Callable[[Recipe], dict[str, Any]], seed: int, after_each: Callable[[], object]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Draw different candidates of the space; return their genes and costs."""
    rng = random.Random(f"screening {seed}")
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    fruitless = 0
    while len(found) < count and fruitless < MAX_FRUITLESS:
        check()
        candidate, genes = genes_of(space, draw(rng))
        digest = candidate_hash(candidate.candidate())
        costs = None if digest in found else _costs(space, candidate.candidate(), cost_of)
        if costs is None:
            fruitless += 1
            continue
        fruitless = 0
        found[digest] = genes, costs
        after_each()
    return list(found.values())


def most_promising(costs: list[dict[str, Any]], count: int) -> list[int]:
    """Indices of the candidates with the highest mean rank in parameters and multiply-adds, the best first.

    Few scores that need no training rank better than size in every space (Li et al. 2023, ZiCo). Scores of activations
    and gradients do so among cells of one kind, but not across norms, decoders and losses.
    """
    ranks = [0] * len(costs)
    for name in ("params", "macs"):
        values = [cost[name] for cost in costs]
        place = {value: i for i, value in enumerate(sorted(set(values)))}
        ranks = [rank + place[value] for rank, value in zip(ranks, values, strict=True)]
    return sorted(range(len(costs)), key=lambda i: -ranks[i])[:count]


def _costs(space: Recipe, candidate: Recipe, cost_of: Callable[[Recipe], dict[str, Any]]) -> dict[str, Any] | None:
    """The costs of a candidate, or None if it breaks a constraint or cannot be built."""
    try:
        return cost_of(candidate) if broken_constraint(space, candidate) is None else None
    except (Exception, SystemExit):  # spaces hold user code
        return None
