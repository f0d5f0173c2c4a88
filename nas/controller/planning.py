"""Plans a search: measures paces, fits the settings into a time limit, and estimates the time of each part."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import optuna

from nas.controller.probe import probe
from nas.controller.timing import UNMEASURED, Clock, Estimate, Paces, estimate, fit_time_limit, plan_text
from nas.pool import Pool
from nas.record import used_budget
from nas.runs.settings import Settings
from nas.space import Recipe, is_open
from nas.stopping import make_stopping

__all__ = ["SearchPlan", "make_plan"]

log = logging.getLogger("nas")


@dataclass(frozen=True)
class SearchPlan:
    """What a search will do.

    Attributes:
        settings: the settings, with steps that fit into the time limit.
        folds: folds that candidates are compared on, 0 for one validation split.
        estimate: expected seconds of each part.
        paces: measured paces, None where the search has nothing left to try or no candidate can be trained.
    """

    settings: Settings
    folds: int
    estimate: Estimate = UNMEASURED
    paces: Paces | None = None


def make_plan(
    study: optuna.Study,
    pool: Pool,
    space: Recipe,
    settings: Settings,
    folds: int,
    allowed: Callable[[Recipe], bool],
    clock: Clock,
    open_steps: bool,
) -> SearchPlan:
    """Measure, fit and estimate; log the plan.

    Args:
        folds: folds that the data calls for.
        allowed: whether a candidate meets the constraints and can be built.
        clock: clock of this session.
        open_steps: whether the user left the number of steps open.
    """
    used, searched = used_budget(study), is_open(space)
    budget = settings.budget - used
    paces = probe(pool, space, settings.seed, folds, allowed, clock) if budget > 0 else None
    if paces is None:
        return SearchPlan(settings, folds)
    wanted_folds = folds
    if not used:
        settings, folds = fit_time_limit(settings, paces, pool.slots, folds, clock, open_steps, searched)
    make_rule = partial(make_stopping, settings.stopping, settings.full_steps, settings.seed)
    expected = estimate(settings, paces, pool.slots, make_rule, folds, budget, not searched, clock)
    if searched and not used and expected.candidates <= len(space.baselines):
        log.warning(
            "Only baselines will be tried, %d of %d: nothing is searched. Give more than that as --budget, or more "
            "time.",
            expected.candidates,
            len(space.baselines),
        )
    log.info("%s", plan_text(settings, paces, expected, pool.slots, folds, clock, wanted_folds))
    return SearchPlan(settings, folds, expected, paces)
