"""Contract of stopping rules: decisions are immediate, and a resumed run makes the same ones."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from nas.stopping import StoppingRule

RUNGS = (2, 6, 18)

Report = tuple[int, int, float]


def stream(seed: int, candidates: int = 60, noise: float = 0.3, workers: int = 4) -> list[Report]:
    """Reports (number, rung, value) of several workers: in order for each candidate, candidates interleaved."""
    rng = random.Random(seed)
    waiting = [[(n, rung, rng.gauss(0, 1) * noise / rung) for rung in RUNGS] for n in range(candidates)]
    waiting = [[(n, rung, value + skill) for n, rung, value in reports] for reports, skill in _skilled(waiting, rng)]
    mixed: list[Report] = []
    while waiting:
        reports = rng.choice(waiting[:workers])
        mixed.append(reports.pop(0))
        if not reports:
            waiting.remove(reports)
    return mixed


def _skilled(waiting: list[list[Report]], rng: random.Random) -> list[tuple[list[Report], float]]:
    return [(reports, rng.gauss(0, 1)) for reports in waiting]


def live(rule: StoppingRule, reports: list[Report]) -> list[tuple[Report, bool]]:
    """Decisions of a rule on a stream; a stopped candidate does not report any more."""
    stopped: set[int] = set()
    decided = []
    for number, rung, value in reports:
        if number not in stopped:
            goes_on = rule.goes_on(number, rung, value)
            decided.append(((number, rung, value), goes_on))
            if not goes_on:
                stopped.add(number)
    return decided


class StoppingContract:
    """Subclass as `class TestMine(StoppingContract)` with `make`, a function from rungs to a rule."""

    make: Callable[[tuple[int, ...]], StoppingRule]
    stops = True
    """Whether it stops any candidate."""

    def rule(self, rungs: tuple[int, ...] = RUNGS) -> StoppingRule:
        return type(self).make(rungs)

    def test_has_the_given_rungs(self) -> None:
        assert self.rule().rungs == RUNGS

    def test_some_candidates_pass_and_some_do_not(self) -> None:
        decisions = [goes_on for (_, rung, _), goes_on in live(self.rule(), stream(0)) if rung != RUNGS[-1]]
        assert any(decisions)
        assert all(decisions) != self.stops

    @pytest.mark.parametrize("seed", range(3))
    def test_every_candidate_passes_the_last_rung_and_other_steps(self, seed: int) -> None:
        rule = self.rule()
        live(rule, stream(seed))
        assert all(rule.goes_on(n, RUNGS[-1], value) for n, value in ((900, -1e9), (901, 0.0), (902, math.nan)))
        assert all(rule.goes_on(n, 7, value) for n, value in ((903, -1e9), (904, math.nan)))

    @pytest.mark.parametrize("seed", range(3))
    def test_the_best_so_far_passes(self, seed: int) -> None:
        rule, best = self.rule(), dict.fromkeys(RUNGS, -math.inf)
        for (_, rung, value), goes_on in live(rule, stream(seed)):
            assert goes_on or value < best[rung]
            best[rung] = max(best[rung], value)

    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("first", [1, 17, 80])
    def test_a_resumed_run_makes_the_same_decisions(self, seed: int, first: int) -> None:
        whole = live(self.rule(), stream(seed))
        resumed = self.rule()
        # A study returns its trials by number, not in the order of their reports.
        for (number, rung, value), _ in sorted(whole[:first]):
            resumed.record(number, rung, value)
        later = [(report, resumed.goes_on(*report)) for report, _ in whole[first:]]
        assert later == whole[first:]

    def test_the_order_of_recorded_scores_does_not_matter(self) -> None:
        reports = [report for report, _ in live(self.rule(), stream(5))]
        answers = []
        for shuffle in range(4):
            rule, mixed = self.rule(), list(reports)
            random.Random(shuffle).shuffle(mixed)
            for report in mixed:
                rule.record(*report)
            answers.append([rule.goes_on(500 + i, RUNGS[i % 2], v / 10) for i, v in enumerate(range(-20, 20))])
        assert all(answer == answers[0] for answer in answers)

    def test_a_nan_score_never_passes_and_is_not_recorded(self) -> None:
        clean, spoilt, reports = self.rule(), self.rule(), stream(6)
        whole = live(clean, reports)
        again = []
        for number, ((_, rung, _), _) in enumerate(whole):
            spoilt.record(1000 + number, rung, math.nan)
            if rung != RUNGS[-1]:
                assert spoilt.goes_on(2000 + number, rung, math.nan) != self.stops
            again.append((whole[number][0], spoilt.goes_on(*whole[number][0])))
        assert again == whole

    def test_copes_with_infinite_and_equal_scores(self) -> None:
        rule = self.rule()
        for number in range(40):
            value = (-math.inf, 0.5, 0.5, math.inf)[number % 4]
            for rung in RUNGS:
                assert isinstance(rule.goes_on(number, rung, value), bool)

    def test_copes_with_reports_in_any_order(self) -> None:
        rule, reports = self.rule(), stream(7)
        random.Random(0).shuffle(reports)
        for report in reports:
            assert isinstance(rule.goes_on(*report), bool)

    @pytest.mark.parametrize("rungs", [(1,), (1, 2), (1, 2, 3, 4, 5)])
    def test_supports_any_number_of_rungs(self, rungs: tuple[int, ...]) -> None:
        rule = self.rule(rungs)
        for number in range(30):
            for rung in rungs:
                goes_on = rule.goes_on(number, rung, math.sin(number) * rung)
            assert goes_on
