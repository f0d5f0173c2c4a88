"""Stopping rules against the contract, hand-computed decisions, SciPy and NumPy."""

from __future__ import annotations

import math
import random
import warnings
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nas.errors import UserError
from nas.stopping import (
    STOPPING,
    AdaptiveHalving,
    AsyncHalving,
    CurveRule,
    Hyperband,
    NoStopping,
    ParetoHalving,
    Promotion,
    StoppingRule,
    make_rule,
    make_stopping,
    rungs_of,
)
from nas.stopping.adaptive import optimal_survivors
from nas.stopping.curve import probability_of_new_best
from tests.contracts.stopping_contract import StoppingContract, live, stream


class TestHalving(StoppingContract):
    make = AsyncHalving


class TestHyperband(StoppingContract):
    make = Hyperband


class TestPromotion(StoppingContract):
    make = Promotion


class TestAdaptive(StoppingContract):
    make = AdaptiveHalving


class TestCurve(StoppingContract):
    make = CurveRule


class TestPareto(StoppingContract):
    make = staticmethod(lambda rungs: ParetoHalving(rungs, lambda number: (float(number * 7 % 5),)))


class TestNone(StoppingContract):
    make = NoStopping
    stops = False


def test_rungs_have_a_constant_ratio_and_end_at_the_full_training() -> None:
    assert rungs_of(180) == (20, 60, 180)
    assert rungs_of(180, eta=4) == (11, 45, 180)
    assert rungs_of(2) == (1, 2)
    assert rungs_of(1) == (1,)


@pytest.mark.parametrize("name", STOPPING)
def test_every_rule_is_created_by_name(name: str) -> None:
    rule: StoppingRule = make_stopping(name, 180, 0)
    assert rule.rungs == (20, 60, 180)
    assert make_rule(name, (3, 7), 0).rungs == (3, 7)


def test_unknown_rule_is_an_error_with_the_known_names() -> None:
    with pytest.raises(
        UserError,
        match=r"--stopping hope: unknown rule; choose from halving, promotion, adaptive, curve, hyperband, none",
    ):
        make_stopping("hope", 180, 0)


def test_halving_passes_the_best_third() -> None:
    halving = AsyncHalving((1, 3, 9), eta=3)
    # The first two pass without comparison. Then: 1 of 3, 1 of 4, 1 of 5, 2 of 6.
    values = (0.5, 0.4, 0.3, 0.6, 0.55, 0.58)
    assert [halving.goes_on(i, 1, v) for i, v in enumerate(values)] == [True, True, False, True, False, True]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(2, 4))
def test_halving_decides_as_a_sorted_list_would(values: list[float], eta: int) -> None:
    halving = AsyncHalving((1, 9), eta=eta)
    for i, value in enumerate(values):
        latest = sorted(values[max(i + 1 - eta * eta, 0) : i + 1], reverse=True)
        expected = i + 1 < eta or value >= latest[max(len(latest) // eta, 1) - 1]
        assert halving.goes_on(i, 1, value) == expected
        assert expected or value < max(values[: i + 1])


def test_halving_stops_many_even_of_improving_candidates() -> None:
    def pass_rate(rule: AsyncHalving) -> float:
        rng = random.Random(0)
        return sum(rule.goes_on(i, 1, 0.1 * i + rng.gauss(0, 1)) for i in range(200)) / 200

    assert pass_rate(AsyncHalving((1, 9))) < 0.5
    assert pass_rate(Promotion((1, 9))) > 0.9  # compares with all


def test_hyperband_assigns_brackets_in_proportion() -> None:
    rule = Hyperband((1, 3, 9), eta=3)
    # n = ceil(3 / (s + 1) * 3^s) for s = 2, 1, 0 halvings: 9, 5, 3.
    brackets = [rule.bracket(number) for number in range(170)]
    assert [brackets.count(b) for b in range(3)] == [90, 50, 30]
    assert set(brackets[:6]) == {0, 1, 2}  # evenly interleaved


def test_hyperband_stops_no_candidate_before_its_bracket_starts() -> None:
    rule = Hyperband((1, 3, 9), eta=3)
    for number in range(300, 330):
        rule.record(number, 1, 0.9)
        rule.record(number, 3, 0.9)
    for number in range(60):
        bracket = rule.bracket(number)
        assert rule.goes_on(number, 1, 0.1) == (bracket > 0)
        assert rule.goes_on(number, 3, 0.1) == (bracket > 1)


def trained(rule: AdaptiveHalving, noise: float, candidates: int = 80, seed: int = 0) -> AdaptiveHalving:
    """Record candidates whose scores at rung 2 are the final ones plus noise."""
    rng = random.Random(seed)
    for number in range(candidates):
        skill = rng.gauss(0, 1)
        rule.record(number, 2, skill + noise * rng.gauss(0, 1))
        rule.record(number, 18, skill)
    return rule


def test_kendall_tau_matches_its_definition_over_the_latest_candidates() -> None:
    rule = trained(AdaptiveHalving((2, 18)), 1.0, candidates=130)
    rule.record(500, 2, 0.3)  # without a final score
    early, final = rule.scores[2], rule.scores[18]
    couples = list(combinations(range(30, 130), 2))
    concordant = sum((early[a] > early[b]) == (final[a] > final[b]) for a, b in couples)
    assert rule.kendall_tau(2) == (pytest.approx(2 * concordant / len(couples) - 1), 100)


@pytest.mark.parametrize("candidates", [0, 1])
def test_kendall_tau_of_less_than_two_candidates_is_unknown(candidates: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tau, pairs = trained(AdaptiveHalving((2, 18)), 1.0, candidates).kendall_tau(2)
    assert math.isnan(tau)
    assert pairs == candidates


def test_kendall_tau_is_updated_by_either_score() -> None:
    rule = AdaptiveHalving((2, 18))
    for number, (early, final) in enumerate([(1.0, 1.0), (2.0, 2.0)]):
        rule.record(number, 18, final)
        rule.record(number, 2, early)
    assert rule.kendall_tau(2) == (1.0, 2)
    rule.record(2, 18, 0.0)
    assert rule.kendall_tau(2) == (1.0, 2)
    rule.record(2, 2, 3.0)
    assert rule.kendall_tau(2) == (pytest.approx(-1 / 3), 3)


def test_fewer_candidates_survive_a_rung_that_predicts_better() -> None:
    kept = [trained(AdaptiveHalving((2, 18)), noise).survivors(2) for noise in (0.0, 0.5, 1.0, 3.0, 100.0)]
    assert kept == sorted(kept)
    assert kept[0] <= 4
    assert kept[-1] >= 40


def test_optimal_survivors_matches_a_simulation() -> None:
    """Normal pairs, the best of 50, every share tried."""
    rng, seen, paid, tau = np.random.default_rng(0), 50, 1 / 9, 0.4
    rho = math.sin(math.pi / 2 * tau)
    sought = stats.norm.ppf(seen / (seen + 1))
    early = rho * sought + math.sqrt(1 - rho**2) * rng.standard_normal(200_000)
    share = np.arange(1, seen + 1) / (seen + 1)
    found = (early[:, None] > stats.norm.ppf(1 - share)).mean(axis=0) / (paid + share * (1 - paid))
    kept = optimal_survivors(tau, seen, paid)
    assert found[kept - 1] == pytest.approx(found.max(), rel=0.01)
    assert found[seen - 1] < 0.8 * found.max()


@given(st.floats(0, 1), st.integers(1, 300), st.floats(0.01, 0.9))
def test_optimal_survivors_is_between_one_and_all(tau: float, seen: int, paid: float) -> None:
    assert 1 <= optimal_survivors(tau, seen, paid) <= seen
    assert optimal_survivors(0.0, seen, paid) == seen


def test_few_trials_explore_as_the_seed_says() -> None:
    one, other = ([n for n in range(2000) if AdaptiveHalving((1, 2), s).explores(n)] for s in (1, 2))
    assert one == [n for n in range(2000) if AdaptiveHalving((1, 2), 1).explores(n)]
    assert one != other
    # The expected number is half the 2,000th harmonic number, 4.1.
    counts = [sum(AdaptiveHalving((1, 2), s).explores(n) for n in range(2000)) for s in range(40)]
    assert 3.1 < np.mean(counts) < 5.1


def test_exploring_trials_are_never_stopped() -> None:
    rule = trained(AdaptiveHalving((2, 18), seed=3), 0.0)
    explorer = next(n for n in range(1000) if rule.explores(n))
    stopped = next(n for n in range(1000, 2000) if not rule.explores(n))
    assert rule.goes_on(explorer, 2, -9.0)
    assert not rule.goes_on(stopped, 2, -9.0)


def test_describe_shows_kendall_tau() -> None:
    rule = AdaptiveHalving((38, 115, 346))
    assert rule.describe() == ""
    for number, (first, second, final) in enumerate([(1, 1, 1), (2, 3, 2), (3, 2, 4), (4, 4, 3)]):
        for rung, value in zip(rule.rungs, (first, second, final), strict=True):
            rule.record(number, rung, value)
    # 1 of 6 pairs is discordant at 38, 2 of 6 at 115.
    assert rule.describe() == "tau .67, .33 of 4"
    assert AdaptiveHalving((1,)).describe() == ""


def test_probability_of_new_best_matches_linear_regression() -> None:
    rng = np.random.default_rng(0)
    early = rng.standard_normal(25)
    final = early + 0.5 * rng.standard_normal(25)
    value = 0.4
    n = len(early)
    xs = stats.norm.ppf(stats.rankdata(early) / (n + 1))
    ys = stats.norm.ppf(stats.rankdata(final) / (n + 1))
    fit = stats.linregress(xs, ys)
    x = stats.norm.ppf(((early < value).sum() + 0.5) / (n + 1))
    residuals = ys - fit.intercept - fit.slope * xs
    error = math.sqrt(
        (residuals**2).sum() / (n - 2) * (1 + 1 / n + (x - xs.mean()) ** 2 / ((xs - xs.mean()) ** 2).sum())
    )
    expected = stats.t.sf((ys.max() - fit.intercept - fit.slope * x) / error, n - 2)
    found = probability_of_new_best(list(zip(early.tolist(), final.tolist(), strict=True)), value)
    assert found == pytest.approx(expected, rel=1e-6)


def test_curve_stops_no_candidate_until_three_are_complete() -> None:
    rule = CurveRule((1, 3))
    for number, value in enumerate((0.9, 0.8)):
        rule.record(number, 1, value)
        rule.record(number, 3, value)
    assert rule.goes_on(9, 1, 0.1)


def test_curve_stops_poor_candidates_only() -> None:
    rng, rule = random.Random(0), CurveRule((1, 3))
    for number in range(60):
        skill = rng.gauss(0, 1)
        rule.record(number, 1, skill)
        rule.record(number, 3, 10 * skill + rng.gauss(0, 1))
    ordered = sorted(rule.scores[1].values())
    assert not rule.goes_on(100, 1, ordered[30])
    assert rule.goes_on(101, 1, ordered[-2] + 1e-6)


def pass_rate_of_curve(noise: float) -> float:
    """Share of new candidates that pass the curve rule if scores at the rung are the final ones plus noise."""
    passed = []
    for seed in range(30):
        rng, rule = random.Random(seed), CurveRule((1, 3))
        for number in range(40):
            skill = rng.gauss(0, 1)
            rule.record(number, 1, skill + noise * rng.gauss(0, 1))
            rule.record(number, 3, skill)
        passed += [rule.goes_on(100 + i, 1, math.hypot(1, noise) * rng.gauss(0, 1)) for i in range(10)]
    return sum(passed) / len(passed)


def test_curve_stops_fewer_candidates_at_noisier_rungs() -> None:
    rates = [pass_rate_of_curve(noise) for noise in (0.1, 0.5, 2.0, 100.0)]
    assert rates == sorted(rates)
    assert rates[0] < 0.15
    assert rates[-1] > 0.5


def test_curve_stops_no_candidate_at_a_rung_of_equal_scores() -> None:
    assert probability_of_new_best([(0.5, float(i)) for i in range(5)], 0.5) == 1.0


@pytest.mark.parametrize("name", ["halving", "adaptive", "curve"])
def test_stopping_saves_most_of_the_training_and_finds_a_good_candidate(name: str) -> None:
    """At rungs that predict well, it takes at most a third of the steps and finds one of the best three."""
    for seed in range(5):
        reports = stream(seed, candidates=90, noise=0.2)
        final = {n: value for n, rung, value in reports if rung == 18}
        decided = live(make_rule(name, (2, 6, 18), seed), reports)
        steps = sum({2: 2, 6: 4, 18: 12}[rung] for (_, rung, _), _ in decided)
        assert steps < 18 * 90 / 3
        best = max(value for (_, rung, value), _ in decided if rung == 18)
        assert best >= sorted(final.values())[-3]
