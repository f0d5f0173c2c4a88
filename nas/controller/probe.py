"""A few steps of the baselines and of drawn candidates, to say how long a search takes before it begins."""

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

BASELINES, DRAWS = 4, 6
"""How many of each are measured at the most."""

TRIES = 100
"""Draws that are looked at for candidates that meet the constraints."""

LONGEST = 30.0
"""Seconds after which no further candidate is measured."""

SHARE = 0.05
"""The part of a limited time that is spent on measuring."""


def probe(
    pool: Pool, space: Recipe, seed: int, folds: int, allowed: Callable[[Recipe], bool], clock: Clock
) -> Paces | None:
    """Measure the paces of the space's candidates on all workers at once, as they will train; None where all fail.

    Args:
        seed: of the draws and of the short trainings.
        folds: folds that candidates will be trained on, 0 for the data's own validation split.
        allowed: whether a candidate meets the constraints and can be built.
        clock: of this sitting, whose limit leaves little time for measuring.
    """
    baselines = [baseline.candidate() for baseline in space.baselines][:BASELINES]
    drawn = _drawn(space, seed, allowed)
    found: dict[str, Pace] = {}
    waiting = [to_json(candidate) for candidate in _in_turn(baselines, drawn)]
    ends = time.monotonic() + min(LONGEST, SHARE * (clock.limit or math.inf))
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
    first, last = ([found[key] for key in map(to_json, some) if key in found] for some in (baselines, drawn))
    return Paces(tuple(first), tuple(last))


def slowest(pool: Pool, candidates: Sequence[str], seed: int) -> Pace:
    """Measure candidates at once, on a pool that has nothing else to do; return the pace of the slowest.

    Args:
        candidates: their JSON, no more than the pool has workers.

    Raises:
        UserError: one cannot be trained.
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


def _in_turn(some: Sequence[Recipe], others: Sequence[Recipe]) -> list[Recipe]:
    """Both lists, one of each in turn: whichever time is left measures some of both."""
    return [candidate for pair in zip_longest(some, others) for candidate in pair if candidate is not None]


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
