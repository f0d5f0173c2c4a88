"""Measures the pace of candidates by a few training steps, before a search begins."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from nas.controller.timing import Clock, Pace, Paces
from nas.controller.work import Probe
from nas.errors import UserError
from nas.pool import Done, Ended, Job, Rung
from nas.space import Recipe, draw, genes_of, to_json

if TYPE_CHECKING:
    from nas.pool import Pool

__all__ = ["probe", "slowest"]

BASELINES, DRAWN = 4, 6
"""Maximum numbers of baselines and of random candidates that are measured."""

MAX_DRAWS = 100
"""Draws in search of candidates that meet the constraints."""

MAX_SECONDS = 30.0
"""Seconds after which no further candidate is measured."""

MAX_SHARE = 0.05
"""Share of a limited time after which no further candidate is measured."""


def probe(
    pool: Pool, space: Recipe, seed: int, folds: int, allowed: Callable[[Recipe], bool], clock: Clock
) -> Paces | None:
    """Measure the paces of candidates on all workers at once, as they will train; None if all of them fail.

    Args:
        seed: seed of the draws and of the short trainings.
        folds: folds that candidates will be trained on, 0 for one validation split.
        allowed: whether a candidate meets the constraints and can be built.
        clock: clock of this session, whose limit leaves less time for measuring.
    """
    baselines = [baseline.candidate() for baseline in space.baselines][:BASELINES]
    drawn = _draw(space, seed, allowed)
    found: dict[str, Pace] = {}
    waiting = [to_json(candidate) for candidate in _interleaved(baselines, drawn)]
    ends = time.monotonic() + min(MAX_SECONDS, MAX_SHARE * (clock.limit or math.inf))
    running = 0
    while running or waiting:
        while waiting and pool.idle() and (time.monotonic() < ends or not found):
            pool.submit(Job(len(waiting), Probe(waiting.pop(0), seed, folds)))
            running += 1
        if not running:
            break
        for message in pool.messages(timeout=0.5):
            if isinstance(message, Done):
                found[message.job.payload.candidate] = Pace(**message.result)
            if isinstance(message, Rung):
                pool.answer(message.job.id, True)
            running -= isinstance(message, Ended)
    if not found:
        return None
    measured = [
        tuple(found[key] for key in map(to_json, candidates) if key in found) for candidates in (baselines, drawn)
    ]
    return Paces(*measured)


def slowest(pool: Pool, candidates: Sequence[str], seed: int) -> Pace:
    """Measure candidates at once on an idle pool, and return the pace of the slowest.

    Args:
        candidates: their JSON, no more than the pool has workers.

    Raises:
        UserError: a candidate cannot be trained.
    """
    for number, candidate in enumerate(candidates):
        pool.submit(Job(number, Probe(candidate, seed)))
    found: list[Pace] = []
    while len(found) < len(candidates):
        for message in pool.messages(timeout=0.5):
            if isinstance(message, Done):
                found.append(Pace(**message.result))
            elif isinstance(message, Rung):
                pool.answer(message.job.id, True)
            elif isinstance(message, Ended):
                raise UserError(f"the winner cannot be trained: {message.reason}")
    return max(found, key=lambda pace: pace.step)


def _interleaved(first: Sequence[Recipe], second: Sequence[Recipe]) -> list[Recipe]:
    """Take one candidate of each list in turn, so that a short time measures some of both."""
    return [candidate for pair in zip_longest(first, second) for candidate in pair if candidate is not None]


def _draw(space: Recipe, seed: int, allowed: Callable[[Recipe], bool]) -> list[Recipe]:
    """Draw different candidates of the space that meet its constraints."""
    rng = random.Random(f"probe {seed}")
    found: dict[str, Recipe] = {}
    for _ in range(MAX_DRAWS):
        candidate = genes_of(space, draw(rng))[0].candidate()
        stored = to_json(candidate)
        if stored not in found and allowed(candidate):
            found[stored] = candidate
        if len(found) == DRAWN:
            break
    return list(found.values())
