"""How long a search takes: measured before its first candidate, and divided up where its time is limited."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nas.runs.settings import Settings
from nas.wording import counted, duration

if TYPE_CHECKING:
    from nas.stopping import StoppingRule

__all__ = [
    "LAST",
    "NOTHING",
    "Clock",
    "Estimate",
    "Pace",
    "Paces",
    "estimate",
    "expected_share",
    "final_seconds",
    "fitted",
    "plan_text",
]

EXPLORING, RANKING = 0.4, 0.25
"""Least shares of a limited time for trying candidates and for the ranking over seeds."""

AT_LEAST = 3
"""Full trainings of the cheapest candidate that the time for trying candidates should suffice for."""

TRIED, STOPPED = 12, 0.25
"""Candidates beside the baselines that a search should try, and the share of a full training that they take with early
stopping."""

FEWEST_FOLDS, FEWEST_STEPS = 2, 60
"""What folds and steps are never reduced below."""

LOOKED_AHEAD = 100
"""Candidates that a simulation of the stopping rule looks at."""

EVALUATIONS = 3
"""Evaluations of a training, one a rung."""

LAST = 5.0
"""Seconds for the test, the report and the export."""

OVERHEAD = 0.3
"""Seconds a candidate beside its training: to propose it, to build it, to write it down."""

NOISE, HAND_MADE = 0.5, 1.5
"""Of simulated scores, in standard deviations among drawn ones: the noise at a rung, and the mean of baselines."""

SIMULATIONS = 20
"""Simulations of the stopping rule, whose mean counts."""


@dataclass
class Clock:
    """The time of one sitting at a search, which begins when the clock is made.

    Attributes:
        limit: seconds for everything, ranking, final training and export included; None for no limit.
    """

    limit: float | None = None
    started: float = field(default_factory=time.monotonic)

    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def left(self) -> float:
        """Seconds until the limit, infinity without one."""
        return float("inf") if self.limit is None else self.limit - self.spent()


@dataclass(frozen=True)
class Pace:
    """What a probe measured of one candidate: seconds a step and an evaluation, and the peak memory in MB."""

    step: float
    validation: float
    peak_mb: float

    def training(self, steps: int, evaluations: int, folds: int) -> float:
        """Seconds of a full training; of all folds together where there are any."""
        return max(folds, 1) * (steps * self.step + evaluations * self.validation)


@dataclass(frozen=True)
class Paces:
    """Paces of the baselines and of candidates drawn from the space."""

    baselines: tuple[Pace, ...]
    drawn: tuple[Pace, ...]

    @property
    def all(self) -> tuple[Pace, ...]:
        """Both."""
        return self.baselines + self.drawn

    @property
    def candidate(self) -> Pace:
        """The mean pace of candidates that a search tries."""
        paces = self.drawn or self.baselines
        return Pace(
            statistics.fmean(p.step for p in paces),
            statistics.fmean(p.validation for p in paces),
            max(p.peak_mb for p in paces),
        )


@dataclass(frozen=True)
class Estimate:
    """Seconds that each part of a search is expected to take on all its workers, and the candidates it will try."""

    exploring: float
    ranking: float
    final: float
    candidates: int

    @property
    def total(self) -> float:
        """Seconds of the whole search from here on."""
        return self.exploring + self.ranking + self.final + LAST

    def exploring_ends(self, clock: Clock) -> float:
        """Seconds of the clock at which the last candidate is to have ended."""
        if clock.limit is None:
            return float("inf")
        return max(EXPLORING * clock.limit, clock.limit - self.ranking - self.final - LAST)

    def ranking_ends(self, clock: Clock) -> float:
        """Seconds of the clock at which the ranking over seeds is to have ended."""
        if clock.limit is None:
            return float("inf")
        return max((EXPLORING + RANKING) * clock.limit, clock.limit - self.final - LAST)


NOTHING = Estimate(0.0, 0.0, 0.0, 0)
"""Of a search whose pace was not measured."""


def estimate(
    settings: Settings,
    paces: Paces,
    slots: int,
    make_rule: Callable[[], StoppingRule],
    folds: int,
    budget: int,
    closed: bool,
    clock: Clock,
) -> Estimate:
    """Estimate the seconds of a search from the paces that a probe measured.

    Args:
        slots: workers.
        make_rule: makes a fresh stopping rule of the search.
        folds: folds that each candidate is trained on, 0 for one validation split.
        budget: candidates still to be tried, baselines included.
        closed: whether the space holds one candidate only.
        clock: of this sitting, whose limit may allow fewer candidates.
    """
    rungs = make_rule().rungs
    steps, evaluations = rungs[-1], len(rungs)
    known = [pace.training(steps, evaluations, folds) for pace in paces.baselines[:budget]]
    each = paces.candidate.training(steps, evaluations, folds)
    usual = statistics.median(pace.training(steps, evaluations, folds) for pace in paces.all)
    others = min(budget - len(known), 1 - len(known) if closed else LOOKED_AHEAD)
    share = expected_share(make_rule, max(others, 1), len(known), settings.seed)

    # Baselines are stopped early where time is limited, but for the first.
    first = sum(known) if clock.limit is None else max(min(known, default=0.0), share * sum(known))

    def parts(others: int) -> Estimate:
        exploring = (first + others * each * share) / slots + (len(known) + others) * OVERHEAD
        # The few costly candidates of a space are seldom among its best, and baselines often are.
        finals = [*known, *[usual] * min(others, settings.best)]
        again = [seconds for seconds in finals for _ in range(settings.repeats - 1)]
        final = final_seconds(settings, statistics.median(finals), slots, folds, len(finals))
        return Estimate(exploring, _in_parallel(again, slots), final, len(known) + others)

    found = parts(max(budget - len(known), 0) if not closed else max(others, 0))
    there = found.exploring_ends(clock) - clock.spent()
    if found.exploring <= there:
        return found
    fit = parts(max(int((there - first / slots) / (each * share / slots + OVERHEAD)), 0))
    ranking = min(fit.ranking, max(fit.ranking_ends(clock) - fit.exploring_ends(clock), 0.0))
    final = min(fit.final, max(clock.left() - there - ranking - LAST, 0.0))
    # One candidate is trained in any case.
    return replace(fit, exploring=max(there, min([*known, each]) / slots), ranking=ranking, final=final)


def final_seconds(settings: Settings, training: float, slots: int, folds: int, contenders: int) -> float:
    """Seconds of the final training, where a full training of the search takes `training` seconds."""
    from nas.controller.final_training import FINALISTS, longer

    longest = longer(settings) / settings.full_steps
    parts = max(folds, 1)
    if settings.search_size and settings.size:
        # At full size each contender is trained once, on a worker of its own.
        return (longest or 1.0) * training / parts * math.prod(settings.size) / math.prod(settings.search_size)
    whole = longest * training
    ladder = _in_parallel([whole / parts] * min(contenders, FINALISTS) * parts, slots) if longest else 0.0
    # With folds the chosen candidate is trained once more, on all labelled images.
    return ladder + (max(longest, 1.0) * training / folds if folds else 0.0)


def _in_parallel(seconds: Sequence[float], slots: int) -> float:
    """Seconds until jobs of these lengths have ended on so many workers."""
    return max(sum(seconds) / slots, max(seconds, default=0.0))


def expected_share(make_rule: Callable[[], StoppingRule], count: int, baselines: int, seed: int) -> float:
    """Simulate a stopping rule; return the mean share of a full training that a drawn candidate is trained for.

    Baselines go first and are trained in full. Made by hand, they are better than most of what is drawn.

    Args:
        make_rule: makes a fresh rule.
        count: drawn candidates.
        seed: of their scores, which are normal, with noise at each rung.
    """
    rng = random.Random(seed)
    shares = []
    for _ in range(SIMULATIONS):
        rule = make_rule()
        for number in range(baselines):
            quality = rng.gauss(HAND_MADE, 1)
            for rung in rule.rungs:
                rule.goes_on(number, rung, quality + rng.gauss(0, NOISE))
        shares += [_simulated_share(rule, number, rng) for number in range(baselines, baselines + count)]
    return statistics.fmean(shares)


def _simulated_share(rule: StoppingRule, number: int, rng: random.Random) -> float:
    quality = rng.gauss(0, 1)
    for rung in rule.rungs:
        if not rule.goes_on(number, rung, quality + rng.gauss(0, NOISE)):
            return rung / rule.rungs[-1]
    return 1.0


def fitted(
    settings: Settings, paces: Paces, slots: int, folds: int, clock: Clock, open_steps: bool, searched: bool = True
) -> tuple[Settings, int]:
    """Settings and folds with which a limited time suffices for a search, or at least for a few full trainings.

    Only what the user left open changes: first the folds, then the steps of a training, down to half of them for the
    sake of more candidates. What is exported is trained for longer in the end.

    Args:
        open_steps: whether the user left the number of steps open.
        searched: whether the space holds more than one candidate.
    """
    if clock.limit is None:
        return settings, folds
    there = EXPLORING * clock.limit * slots
    few = [min([*paces.baselines, paces.candidate], key=lambda pace: pace.step)] * AT_LEAST
    drawn = max(min(TRIED, settings.budget - len(paces.baselines)), 0)
    many = [*paces.baselines, *[paces.candidate] * drawn] if searched else few
    share = STOPPED if searched and settings.stopping != "none" else 1.0

    def needed(wanted: list[Pace], steps: int, folds: int) -> float:
        return sum(pace.training(steps, EVALUATIONS, folds) for pace in wanted)

    steps = settings.full_steps
    if settings.folds is None and folds > FEWEST_FOLDS and share * needed(many, steps, folds) > there:
        folds = FEWEST_FOLDS
    if open_steps and (asked := share * needed(many, steps, folds)) > there:
        steps = max(int(steps * there / asked), steps // 2, min(steps, FEWEST_STEPS))
    if open_steps and (asked := needed(few, steps, folds)) > there:
        steps = max(int(steps * there / asked), FEWEST_STEPS)
    return replace(settings, steps=steps), folds


def plan_text(
    settings: Settings,
    paces: Paces,
    expected: Estimate,
    slots: int,
    folds: int,
    clock: Clock,
    wanted: int | None = None,
) -> str:
    """What a search will do and how long it will take, in two sentences.

    Args:
        wanted: folds that the data calls for, where a limit on time may have left fewer.
    """
    each = paces.candidate.training(settings.full_steps, EVALUATIONS, folds)
    memory = slots * max(pace.peak_mb for pace in paces.all) / 1000
    fewer = f" instead of {wanted} (the time limit)" if wanted not in (None, folds) else ""
    of_folds = f" on each of {folds} folds{fewer}" if folds else ""
    whole = min(expected.total, clock.left())
    return (
        f"A full training takes {settings.full_steps} steps{of_folds}, about {duration(each)}. "
        f"Expected from here: {duration(max(whole, 0.0))} for {counted(expected.candidates, 'candidate')} "
        f"(search {duration(expected.exploring)}, ranking {duration(expected.ranking)}, "
        f"final training {duration(expected.final)}, test and report {duration(LAST)}) and {memory:.1f} GB of memory."
    )
