"""Checks of a component's fields: what they let through, and the line they refuse the rest with."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nas.space.checks import check_one_of, check_range
from nas.space.component import SpaceError


@pytest.mark.parametrize(("value", "low", "high"), [(0, 0, 1), (1.0, 0, 1), (1e9, 0, math.inf), (2, 2, 2)])
def test_both_ends_of_a_range_are_allowed(value: float, low: float, high: float) -> None:
    check_range("method.weight", value, low, high)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, True, "a", None, [0.5]])
def test_what_is_outside_a_range_is_named(value: Any) -> None:
    with pytest.raises(SpaceError) as refused:
        check_range("method.weight", value, 0, 1)
    assert str(refused.value) == f"method.weight is {value!r}: use a number from 0 to 1"


def test_a_range_without_an_upper_end() -> None:
    with pytest.raises(SpaceError, match=r"^Stage\.width is 0: use a number of at least 1$"):
        check_range("Stage.width", 0, 1)


def test_options_are_named() -> None:
    check_one_of("norm", "batch", ("batch", "layer"))
    with pytest.raises(SpaceError, match=r"^norm is 'bach': use one of 'batch', 'layer'$"):
        check_one_of("norm", "bach", ("batch", "layer"))
