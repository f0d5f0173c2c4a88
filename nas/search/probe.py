"""A few steps of the baselines and of drawn candidates, to say how long a search takes before it begins."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from nas.pool import Done, Ended, Job
from nas.search.timing import Pace, Paces
from nas.search.work import Probe
from nas.space import Recipe, draw, genes_of, to_json

if TYPE_CHECKING:
    from nas.pool import Pool

__all__ = ["probe"]

BASELINES, DRAWS = 4, 6
"""How many of each are measured at the most."""

TRIES = 100
"""Draws that are looked at for candidates that meet the constraints."""

LONGEST = 60.0
"""Seconds after which what was measured so far has to do."""


def probe(pool: Pool, space: Recipe, seed: int, folds: int, allowed: Callable[[Recipe], bool]) -> Paces | None:
    """Measure the paces of the space's candidates on all workers at once, as they will train; None where all fail.

    Args:
        seed: of the draws and of the short trainings.
        folds: folds that candidates will be trained on, 0 for the data's own validation split.
        allowed: whether a candidate meets the constraints and can be built.
    """
    baselines = [baseline.candidate() for baseline in space.baselines][:BASELINES]
    candidates = [*baselines, *_drawn(space, seed, allowed)]
    found: dict[int, Pace] = {}
    running = set(range(len(candidates)))
    for number, candidate in enumerate(candidates):
        pool.submit(Job(number, Probe(to_json(candidate), seed, folds)))
    ends = time.monotonic() + LONGEST
    while running and (time.monotonic() < ends or not found):
        for message in pool.messages(timeout=0.5):
            if isinstance(message, Done):
                result = message.result
                found[message.job.id] = Pace(result["step_seconds"], result["validation_seconds"], result["peak_mb"])
            if isinstance(message, Ended):
                running.discard(message.job.id)
    for number in running:
        pool.cancel(number)
    if not found:
        return None
    first, last = (
        tuple(found[i] for i in sorted(found) if (i < len(baselines)) == is_baseline) for is_baseline in (True, False)
    )
    return Paces(first, last)


def _drawn(space: Recipe, seed: int, allowed: Callable[[Recipe], bool]) -> list[Recipe]:
    """Different candidates drawn from the space that meet its constraints."""
    rng = random.Random(f"probe {seed}")
    found: dict[str, Recipe] = {}
    for _ in range(TRIES):
        candidate = genes_of(space, draw(rng))[0].candidate()
        stored = to_json(candidate)
        if stored not in found and allowed(candidate):
            found[stored] = candidate
        if len(found) == DRAWS:
            break
    return list(found.values())
