"""Estimates of the time of a search, and how a time limit reduces it."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import pytest

from nas.controller.timing import (
    EXPLORING_SHARE,
    Clock,
    Pace,
    Paces,
    estimate,
    expected_share,
    fit_time_limit,
    plan_text,
)
from nas.runs.settings import UNLIMITED, Settings, settings_of
from nas.stopping import AsyncHalving, NoStopping, rungs_of

SETTINGS = Settings(space="any.py", steps=90, budget=20, repeats=3, best=3, final_steps=0)
PACE = Pace(step=0.1, validation=1.0, peak_mb=300.0)
PACES = Paces((PACE,), (PACE,))


def clock(limit: float | None, spent: float = 0.0) -> Clock:
    return Clock(limit, time.monotonic() - spent)


def test_a_training_takes_its_steps_and_evaluations_on_each_fold() -> None:
    assert PACE.training(90, 3, 0) == pytest.approx(12.0)
    assert PACE.training(90, 3, 4) == pytest.approx(48.0)


def test_without_stopping_every_candidate_is_trained_in_full() -> None:
    assert expected_share(lambda: NoStopping((10, 30, 90)), 50, 0, 0) == 1.0


def halving() -> AsyncHalving:
    return AsyncHalving(rungs_of(90))


def test_halving_trains_the_share_that_its_rungs_let_through() -> None:
    """Two thirds stop at 1/9, two thirds of the others at 1/3: (6/9 + 2/9 x 3 + 1/9 x 9) / 9 = .26."""
    ideal = (6 / 9 * 10 + 2 / 9 * 30 + 1 / 9 * 90) / 90
    assert expected_share(halving, 500, 0, 0) == pytest.approx(ideal, rel=0.1)
    # The first candidates go on whatever they score, unless they are compared with good baselines.
    assert expected_share(halving, 5, 0, 0) > 0.5
    assert expected_share(halving, 5, 4, 0) < 0.7 * ideal


def test_the_estimate_is_the_work_over_the_workers() -> None:
    def rule() -> NoStopping:
        return NoStopping(rungs_of(90))

    found = estimate(SETTINGS, PACES, 2, rule, 0, 20, False, clock(None))
    assert found.candidates == 20
    assert found.exploring == pytest.approx(20 * 12.0 / 2, rel=0.1)  # and the overhead per candidate
    # The baseline and the three best, each on two more seeds.
    assert found.ranking == pytest.approx(4 * 2 * 12.0 / 2)
    assert found.final == 0.0
    longer = estimate(replace(SETTINGS, final_steps=180), PACES, 2, rule, 0, 20, False, clock(None))
    assert longer.final == pytest.approx(2 * 24.0 / 2)  # one to three contenders


def test_with_folds_the_winner_is_trained_once_more() -> None:
    found = estimate(SETTINGS, PACES, 2, lambda: NoStopping(rungs_of(90)), 3, 20, False, clock(None))
    assert found.final == pytest.approx(12.0)


def test_a_closed_recipe_is_one_candidate() -> None:
    found = estimate(SETTINGS, Paces((), (PACE,)), 2, lambda: NoStopping(rungs_of(90)), 0, 20, True, clock(None))
    assert found.candidates == 1


@pytest.mark.parametrize("limit", [60.0, 600.0, 36000.0])
def test_a_time_limit_holds_for_everything(limit: float) -> None:
    settings = replace(SETTINGS, budget=UNLIMITED, final_steps=None)
    ticking = clock(limit, spent=5.0)
    found = estimate(settings, PACES, 2, halving, 0, UNLIMITED, False, ticking)
    assert found.total <= limit + 1
    assert found.exploring_deadline(ticking) >= EXPLORING_SHARE * limit
    assert found.exploring_deadline(ticking) <= found.ranking_deadline(ticking) <= limit
    assert 1 <= found.candidates < UNLIMITED


def test_without_a_limit_nothing_ends_early() -> None:
    found = estimate(SETTINGS, PACES, 2, lambda: NoStopping(rungs_of(90)), 0, 20, False, clock(None))
    assert found.exploring_deadline(clock(None)) == found.ranking_deadline(clock(None)) == math.inf


def test_a_short_limit_reduces_folds_then_steps_unless_the_user_gave_them() -> None:
    enough = fit_time_limit(SETTINGS, PACES, 2, 3, clock(3600.0), open_steps=True)
    assert (enough[0].steps, enough[1]) == (90, 3)
    # 13 trainings of 36 s each on three folds, 24 s on two, times .25 for early stopping; two fifths of 2 x 110 s are
    # available.
    fewer_folds = fit_time_limit(SETTINGS, PACES, 2, 3, clock(110.0), open_steps=True)
    assert (fewer_folds[0].steps, fewer_folds[1]) == (90, 2)
    shorter, folds = fit_time_limit(SETTINGS, PACES, 2, 3, clock(60.0), open_steps=True)
    assert folds == 2
    assert 60 <= shorter.full_steps < 90
    # For the sake of more candidates not below half; for the sake of the first few, further.
    halved, _ = fit_time_limit(replace(SETTINGS, steps=180), PACES, 2, 3, clock(130.0), open_steps=True)
    assert halved.full_steps == pytest.approx(180 * 0.4 * 260 / (13 * 0.25 * 42), abs=1)
    half = Paces((PACE,), (replace(PACE, step=0.3),))
    assert fit_time_limit(replace(SETTINGS, steps=900), half, 2, 0, clock(200.0), open_steps=True)[0].steps == 450
    assert fit_time_limit(replace(SETTINGS, steps=900), PACES, 2, 0, clock(200.0), True, searched=False)[0].steps == 504
    asked = fit_time_limit(replace(SETTINGS, folds=3), PACES, 2, 3, clock(30.0), open_steps=False)
    assert (asked[0].steps, asked[1]) == (90, 3)
    assert fit_time_limit(SETTINGS, PACES, 2, 3, clock(None), open_steps=True) == (SETTINGS, 3)


def test_the_text_of_a_plan() -> None:
    found = estimate(SETTINGS, PACES, 2, lambda: NoStopping(rungs_of(90)), 3, 20, False, clock(None))
    text = plan_text(SETTINGS, PACES, found, 2, 3, clock(None))
    assert "90 steps on each of 3 folds, about 36.0 s" in text
    assert plan_text(SETTINGS, PACES, found, 2, 3, clock(None), wanted_folds=3) == text
    fewer = plan_text(SETTINGS, PACES, found, 2, 2, clock(100.0), wanted_folds=3)
    assert "90 steps on each of 2 folds instead of 3 (the time limit), about 24.0 s" in fewer
    assert "20 candidates" in text
    assert "0.6 GB" in text


def test_a_time_limit_replaces_the_budget() -> None:
    assert settings_of(space="unet.py", max_time=60.0).budget == UNLIMITED
    assert settings_of(space="unet.py", max_time=60.0, budget=7).budget == 7
    assert settings_of(space="unet.py").budget == 200
