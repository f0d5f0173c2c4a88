"""Encoding of a parameter's values as numbers, to fit models to and to mutate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

__all__ = ["INACTIVE", "Column", "groups_of_equal_choices"]

INACTIVE = -1.0
"""Code of a parameter that is not active in a candidate."""

MAX_GRID = 64
"""Maximum number of steps of a numeric grid whose values are enumerated."""


class Column:
    """Encoding of one parameter as numbers from 0 on.

    A choice is encoded as its index. A number is encoded as its position between the bounds, 0 to 1, on a log scale
    if the distribution is logarithmic.

    Attributes:
        n_values: number of different values; 0 if there are too many to enumerate.
        categorical: whether the parameter is categorical.
        ranks: rank of each choice, scaled to 0 to 1, if all choices are numbers; else None.
    """

    def __init__(self, distribution: BaseDistribution) -> None:
        self.distribution = distribution
        self.categorical = isinstance(distribution, CategoricalDistribution)
        self.ranks: np.ndarray | None = None
        self._float_steps = 0  # steps between the bounds of a float with a step
        if isinstance(distribution, CategoricalDistribution):
            self.n_values = len(distribution.choices)
            self.ranks = _scaled_ranks(distribution.choices)
        else:
            assert isinstance(distribution, IntDistribution | FloatDistribution)
            steps = (
                0 if distribution.step is None else round((distribution.high - distribution.low) / distribution.step)
            )
            self.n_values = steps + 1 if steps < MAX_GRID and distribution.step is not None else 0
            if isinstance(distribution, FloatDistribution):
                self._float_steps = steps
            if distribution.low == distribution.high:
                self.n_values = 1

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Encode values in Optuna's internal representation; nan becomes INACTIVE."""
        if not isinstance(self.distribution, IntDistribution | FloatDistribution):
            return np.where(np.isnan(values), INACTIVE, values)
        low, width = self._low_and_width()
        scaled = np.log(np.maximum(values, 1e-300)) if self.distribution.log else values
        codes = np.clip((scaled - low) / width, 0.0, 1.0)
        if self._float_steps:
            # A step such as 0.1 is not exact in binary: equal values must have bitwise equal codes.
            codes = np.round(codes * self._float_steps, 6) / self._float_steps
        return np.where(np.isnan(values), INACTIVE, codes)

    def decode(self, code: float) -> Any:
        """Return the parameter's value for a code."""
        d = self.distribution
        if isinstance(d, CategoricalDistribution):
            return d.choices[int(code)]
        assert isinstance(d, IntDistribution | FloatDistribution)
        if d.log:
            low, width = self._low_and_width()
            value = math.exp(low + code * width)
            return min(max(round(value) if isinstance(d, IntDistribution) else value, d.low), d.high)
        if isinstance(d, IntDistribution):
            # In integers: a float cannot represent every integer of a wide range.
            return d.low + d.step * min(round(code * ((d.high - d.low) // d.step)), (d.high - d.low) // d.step)
        value = d.low + code * (d.high - d.low)
        return min(max(d.low + d.step * round((value - d.low) / d.step) if d.step else value, d.low), d.high)

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Sample codes uniformly."""
        if self.categorical:
            return rng.integers(self.n_values, size=count).astype(float)
        if self.n_values and not self._log():
            return rng.integers(self.n_values, size=count) / max(self.n_values - 1, 1)
        return self._snap_to_grid(rng.random(count))

    def mutate(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Replace each code by another one, if there is one; half of the numbers move by a small step."""
        count = len(codes)
        if self.n_values == 1 or not count:
            return codes
        if self.categorical:
            return (codes + rng.integers(1, self.n_values, size=count)) % self.n_values
        near = rng.random(count) < 0.5
        if self.n_values and not self._log():
            last = self.n_values - 1
            index = np.rint(codes * last)
            step = np.where(rng.random(count) < 0.5, 1, -1)
            step = np.where((index + step < 0) | (index + step > last), -step, step)
            return (
                np.where(near, index + step, (index + rng.integers(1, self.n_values, size=count)) % self.n_values)
                / last
            )
        scale = 10.0 ** rng.uniform(-2.5, -0.5, size=count)
        moved = np.clip(codes + scale * rng.standard_normal(count), 0.0, 1.0)
        return self._snap_to_grid(np.where(near, moved, rng.random(count)))

    def widen(self, distribution: BaseDistribution) -> Column:
        """Return a column whose bounds also contain those of another distribution."""
        old = self.distribution
        if old == distribution:
            return self
        if isinstance(old, IntDistribution) and isinstance(distribution, IntDistribution):
            low, high = min(old.low, distribution.low), max(old.high, distribution.high)
            # The coarsest grid that contains the values of both.
            grid = math.gcd(old.step, distribution.step, old.low - distribution.low)
            return Column(IntDistribution(low, high, log=distribution.log, step=grid))
        if isinstance(old, FloatDistribution) and isinstance(distribution, FloatDistribution):
            steps = (old.low - distribution.low) / (distribution.step or 1.0)
            one_grid = old.step == distribution.step and abs(steps - round(steps)) < 1e-6
            bounds = min(old.low, distribution.low), max(old.high, distribution.high)
            return Column(
                FloatDistribution(*bounds, log=distribution.log, step=distribution.step if one_grid else None)
            )
        return Column(distribution)

    def _log(self) -> bool:
        return bool(getattr(self.distribution, "log", False))

    def _low_and_width(self) -> tuple[float, float]:
        d = self.distribution
        assert isinstance(d, IntDistribution | FloatDistribution)
        low, high = (math.log(d.low), math.log(d.high)) if d.log else (float(d.low), float(d.high))
        return low, (high - low) or 1.0

    def _snap_to_grid(self, codes: np.ndarray) -> np.ndarray:
        """Round codes to those of the distribution's values, so that equal values have equal codes."""
        d = self.distribution
        if isinstance(d, FloatDistribution) and d.step is None:
            return codes
        low, width = self._low_and_width()
        assert isinstance(d, IntDistribution | FloatDistribution) and d.step is not None
        if d.log:
            return self.encode(np.clip(np.rint(np.exp(low + codes * width)), d.low, d.high))
        if self._float_steps:
            return np.rint(codes * self._float_steps) / self._float_steps
        return np.clip(np.rint(codes * width / d.step) * d.step / width, 0.0, 1.0)


def _scaled_ranks(choices: tuple[Any, ...]) -> np.ndarray | None:
    """Return the rank of each choice, 0 to 1, if there are three or more and all are numbers."""
    if len(choices) < 3 or not all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices):
        return None
    ranks = np.argsort(np.argsort(np.array(choices, dtype=float)))
    return ranks / (len(choices) - 1)


def groups_of_equal_choices(columns: list[Column]) -> list[tuple[int, ...]]:
    """Return groups of three or more columns, by index, that share the same three or more choices."""
    groups: dict[str, list[int]] = {}
    for p, column in enumerate(columns):
        if isinstance(column.distribution, CategoricalDistribution) and column.n_values > 2:
            groups.setdefault(repr(column.distribution.choices), []).append(p)
    return [tuple(group) for group in groups.values() if len(group) > 2]
