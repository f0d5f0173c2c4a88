"""Asynchronous successive halving, worked by hand and as properties."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nas.search.stopping import AsyncHalving, rungs_of


def test_rungs_are_powers_of_eta_and_end_at_the_full_training() -> None:
    assert rungs_of(180) == (20, 60, 180)
    assert rungs_of(180, eta=4) == (11, 45, 180)
    assert rungs_of(2) == (1, 2)
    assert rungs_of(1) == (1,)


def test_the_best_third_so_far_goes_on() -> None:
    halving = AsyncHalving((1, 3, 9), eta=3)
    # The first two have nothing to be compared with. Then: 1 of 3, 1 of 4, 1 of 5, 2 of 6.
    assert [halving.goes_on(1, v) for v in (0.5, 0.4, 0.3, 0.6, 0.55, 0.58)] == [True, True, False, True, False, True]
    assert halving.goes_on(9, 0.0)
    assert halving.goes_on(2, 0.0)  # not a rung


def test_what_an_earlier_sitting_recorded_counts() -> None:
    halving = AsyncHalving((1, 3), eta=3)
    for value in (0.5, 0.6, 0.7):
        halving.record(1, value)
    assert not halving.goes_on(1, 0.1)
    assert halving.goes_on(1, 0.9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(2, 4))
def test_a_best_so_far_always_goes_on_and_about_one_in_eta_does(values: list[float], eta: int) -> None:
    halving = AsyncHalving((1, 9), eta=eta)
    best = -1.0
    for value in values:
        went = halving.goes_on(1, value)
        assert went or value < best
        best = max(best, value)
