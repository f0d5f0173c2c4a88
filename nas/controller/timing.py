"""Estimates how long a search takes, and fits it into a time limit."""

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
    "FINISHING",
    "UNMEASURED",
    "Clock",
    "Estimate",
    "Pace",
    "Paces",
    "estimate",
    "expected_share",
    "final_seconds",
    "fit_time_limit",
    "plan_text",
]

EXPLORING_SHARE, RANKING_SHARE = 0.4, 0.25
"""Minimum shares of a limited time for trying candidates and for the ranking over seeds."""

MIN_TRAININGS = 3
"""Full trainings of the cheapest candidate that must fit into the time for trying candidates."""

TARGET_CANDIDATES = 12
"""Candidates, baselines not included, that a search with a time limit should try."""

STOPPED_SHARE = 0.25
"""Share of a full training that a candidate takes with early stopping."""

MIN_FOLDS, MIN_STEPS = 2, 60
"""Folds and steps are never reduced below these."""

SIMULATED = 100
"""Maximum number of candidates in a simulation of a stopping rule."""

EXPECTED_FINALISTS = 2
"""Contenders in the final training: between one and `FINALISTS`, as many as tie."""

EVALUATIONS = 3
"""Evaluations of a training, one per rung."""

FINISHING = 5.0
"""Seconds for the test, the report and the export."""

OVERHEAD = 0.3
"""Seconds per candidate in addition to its training: to propose, build and store it."""

NOISE, HAND_MADE = 0.5, 1.5
"""Simulated scores: standard deviation of the noise at a rung, and mean of baselines. Final scores of drawn candidates
have mean 0 and standard deviation 1."""

SIMULATIONS = 20
"""Simulations of a stopping rule, which are averaged."""


@dataclass
class Clock:
    """The time of one session of a search, which begins when the clock is made.

    Attributes:
        limit: seconds for everything, ranking, final training and export included; None for no limit.
    """

    limit: float | None = None
    started: float = field(default_factory=time.monotonic)

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def remaining(self) -> float:
        """Seconds until the limit, infinity without one."""
        return float("inf") if self.limit is None else self.limit - self.elapsed()


@dataclass(frozen=True)
class Pace:
    """Measurements of one candidate: seconds per step, seconds per evaluation, and peak memory in megabytes."""

    step: float
    validation: float
    peak_mb: float

    def training(self, steps: int, evaluations: int, folds: int) -> float:
        """Seconds of a full training; with folds, of all folds together."""
        return max(folds, 1) * (steps * self.step + evaluations * self.validation)


@dataclass(frozen=True)
class Paces:
    """Paces of the baselines and of random candidates of the space."""

    baselines: tuple[Pace, ...]
    drawn: tuple[Pace, ...]

    @property
    def all(self) -> tuple[Pace, ...]:
        """Paces of baselines and random candidates."""
        return self.baselines + self.drawn

    @property
    def candidate(self) -> Pace:
        """The mean pace of a candidate that the search proposes."""
        paces = self.drawn or self.baselines
        return Pace(
            statistics.fmean(p.step for p in paces),
            statistics.fmean(p.validation for p in paces),
            max(p.peak_mb for p in paces),
        )


@dataclass(frozen=True)
class Estimate:
    """Expected seconds of each part of a search on all its workers, and the number of candidates it will try."""

    exploring: float
    ranking: float
    final: float
    candidates: int

    @property
    def total(self) -> float:
        """Seconds of the whole search."""
        return self.exploring + self.ranking + self.final + FINISHING

    def exploring_deadline(self, clock: Clock) -> float:
        """Elapsed seconds at which the last candidate must have ended."""
        if clock.limit is None:
            return float("inf")
        return max(EXPLORING_SHARE * clock.limit, clock.limit - self.ranking - self.final - FINISHING)

    def ranking_deadline(self, clock: Clock) -> float:
        """Elapsed seconds at which the ranking over seeds must have ended."""
        if clock.limit is None:
            return float("inf")
        return max((EXPLORING_SHARE + RANKING_SHARE) * clock.limit, clock.limit - self.final - FINISHING)


UNMEASURED = Estimate(0.0, 0.0, 0.0, 0)
"""Estimate of a search whose paces were not measured."""


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
    """Estimate the seconds of a search from measured paces.

    Args:
        slots: workers.
        make_rule: makes a new stopping rule of the search.
        folds: folds that each candidate is trained on, 0 for one validation split.
        budget: candidates still to be tried, baselines included.
        closed: whether the space holds a single candidate.
        clock: clock of this session, whose limit may allow fewer candidates.
    """
    rungs = make_rule().rungs
    steps, evaluations = rungs[-1], len(rungs)
    baselines = [pace.training(steps, evaluations, folds) for pace in paces.baselines[:budget]]
    mean = paces.candidate.training(steps, evaluations, folds)
    median = statistics.median(pace.training(steps, evaluations, folds) for pace in paces.all)
    simulated = min(budget - len(baselines), 1 - len(baselines) if closed else SIMULATED)
    share = expected_share(make_rule, max(simulated, 1), len(baselines), settings.seed)

    # With a time limit, all baselines but the first may be stopped early.
    first = sum(baselines) if clock.limit is None else max(min(baselines, default=0.0), share * sum(baselines))

    def with_candidates(proposed: int) -> Estimate:
        exploring = (first + proposed * mean * share) / slots + (len(baselines) + proposed) * OVERHEAD
        # The best candidates are seldom among the few costly ones, and often among the baselines.
        ranked = [*baselines, *[median] * min(proposed, settings.best)]
        repeats = [seconds for seconds in ranked for _ in range(settings.repeats - 1)]
        final = final_seconds(settings, statistics.median(ranked), slots, folds, len(ranked))
        return Estimate(exploring, _in_parallel(repeats, slots), final, len(baselines) + proposed)

    whole = with_candidates(max(simulated if closed else budget - len(baselines), 0))
    available = whole.exploring_deadline(clock) - clock.elapsed()
    if whole.exploring <= available:
        return whole
    fit = with_candidates(max(int((available - first / slots) / (mean * share / slots + OVERHEAD)), 0))
    ranking = min(fit.ranking, max(fit.ranking_deadline(clock) - fit.exploring_deadline(clock), 0.0))
    final = min(fit.final, max(clock.remaining() - available - ranking - FINISHING, 0.0))
    # One candidate is trained in any case.
    return replace(fit, exploring=max(available, min([*baselines, mean]) / slots), ranking=ranking, final=final)


def final_seconds(settings: Settings, training: float, slots: int, folds: int, contenders: int) -> float:
    """Expected seconds of the final training, where a full training of the search takes `training` seconds."""
    from nas.controller.final_training import final_steps

    factor = final_steps(settings) / settings.full_steps
    parts = max(folds, 1)
    if settings.search_size and settings.size:
        # At full size each contender is trained once, on a worker of its own.
        return (factor or 1.0) * training / parts * math.prod(settings.size) / math.prod(settings.search_size)
    jobs = [factor * training / parts] * min(contenders, EXPECTED_FINALISTS) * parts
    finalists = _in_parallel(jobs, slots) if factor else 0.0
    # With folds the winner is trained once more, on all labelled images.
    return finalists + (max(factor, 1.0) * training / folds if folds else 0.0)


def _in_parallel(seconds: Sequence[float], slots: int) -> float:
    """Seconds that jobs of these durations take on so many workers."""
    return max(sum(seconds) / slots, max(seconds, default=0.0))


def expected_share(make_rule: Callable[[], StoppingRule], count: int, baselines: int, seed: int) -> float:
    """Simulate a stopping rule, and return the mean share of a full training that a drawn candidate is trained for.

    The baselines come first and are trained in full. Made by hand, they are better than most drawn candidates.

    Args:
        make_rule: makes a new stopping rule.
        count: drawn candidates.
        seed: seed of the scores, which are normal, with noise at each rung.
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


def fit_time_limit(
    settings: Settings, paces: Paces, slots: int, folds: int, clock: Clock, open_steps: bool, searched: bool = True
) -> tuple[Settings, int]:
    """Reduce folds and steps so that a search, or at least a few full trainings, fits into the time limit.

    Settings that the user gave stay as they are. Folds are reduced first. Then steps are halved at most for the sake of
    more candidates, and reduced further for the first few. The final training is longer anyway.

    Args:
        open_steps: whether the user left the number of steps open.
        searched: whether the space holds more than one candidate.

    Returns:
        The settings and the number of folds.
    """
    if clock.limit is None:
        return settings, folds
    available = EXPLORING_SHARE * clock.limit * slots
    few = [min([*paces.baselines, paces.candidate], key=lambda pace: pace.step)] * MIN_TRAININGS
    proposed = max(min(TARGET_CANDIDATES, settings.budget - len(paces.baselines)), 0)
    many = [*paces.baselines, *[paces.candidate] * proposed] if searched else few
    share = STOPPED_SHARE if searched and settings.stopping != "none" else 1.0

    def needed(wanted: list[Pace], steps: int, folds: int) -> float:
        return sum(pace.training(steps, EVALUATIONS, folds) for pace in wanted)

    steps = settings.full_steps
    if settings.folds is None and folds > MIN_FOLDS and share * needed(many, steps, folds) > available:
        folds = MIN_FOLDS
    if open_steps and (seconds := share * needed(many, steps, folds)) > available:
        steps = max(int(steps * available / seconds), steps // 2, min(steps, MIN_STEPS))
    if open_steps and (seconds := needed(few, steps, folds)) > available:
        steps = max(int(steps * available / seconds), MIN_STEPS)
    return replace(settings, steps=steps), folds


def plan_text(
    settings: Settings,
    paces: Paces,
    expected: Estimate,
    slots: int,
    folds: int,
    clock: Clock,
    wanted_folds: int | None = None,
) -> str:
    """Describe in two sentences what a search will do and how long it will take.

    Args:
        wanted_folds: folds that the data calls for, where a time limit may have reduced them.
    """
    training = paces.candidate.training(settings.full_steps, EVALUATIONS, folds)
    memory = slots * max(pace.peak_mb for pace in paces.all) / 1000
    fewer = f" instead of {wanted_folds} (the time limit)" if wanted_folds not in (None, folds) else ""
    of_folds = f" on each of {folds} folds{fewer}" if folds else ""
    whole = min(expected.total, clock.remaining())
    return (
        f"A full training takes {settings.full_steps} steps{of_folds}, about {duration(training)}. "
        f"Expected from here: {duration(max(whole, 0.0))} for {counted(expected.candidates, 'candidate')} "
        f"(search {duration(expected.exploring)}, ranking {duration(expected.ranking)}, "
        f"final training {duration(expected.final)}, test and report {duration(FINISHING)}) "
        f"and {memory:.1f} GB of memory."
    )
