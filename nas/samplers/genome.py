"""Trials of a conditional space as rows of numbers: what a model can learn from and a mutation can change."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

__all__ = ["INACTIVE", "Column", "Rules", "alike"]

INACTIVE = -1.0
"""The code of a parameter that a candidate does not reach."""

NO_BOUNDS: Mapping[int, np.ndarray] = {}

DEPTH = 4
"""Parameters that together may tell whether another is reached."""

FEW = 64
"""Levels up to which a parameter's values are told apart one by one."""


class Column:
    """One parameter: its values coded as numbers from 0 on.

    A label is coded as its number. A number is coded as its place between the bounds, 0 to 1, in logarithms
    where the distribution is logarithmic.

    Attributes:
        levels: how many values there are; 0 for more than can be told apart.
        labels: whether the values are labels.
        ranks: for labels that are all numbers, the place of each in their order, 0 to 1; else None.
    """

    def __init__(self, distribution: BaseDistribution) -> None:
        self.distribution = distribution
        self.labels = isinstance(distribution, CategoricalDistribution)
        self.ranks: np.ndarray | None = None
        self._last = 0  # of a float in steps, how many of them lie between its bounds
        if isinstance(distribution, CategoricalDistribution):
            self.levels = len(distribution.choices)
            self.ranks = _order(distribution.choices)
        else:
            assert isinstance(distribution, IntDistribution | FloatDistribution)
            steps = (
                0 if distribution.step is None else round((distribution.high - distribution.low) / distribution.step)
            )
            self.levels = steps + 1 if steps < FEW and distribution.step is not None else 0
            if isinstance(distribution, FloatDistribution):
                self._last = steps
            if distribution.low == distribution.high:
                self.levels = 1

    def codes(self, raw: np.ndarray) -> np.ndarray:
        """Codes of values in Optuna's internal representation, nan being inactive."""
        if not isinstance(self.distribution, IntDistribution | FloatDistribution):
            return np.where(np.isnan(raw), INACTIVE, raw)
        low, width = self._scale()
        values = np.log(np.maximum(raw, 1e-300)) if self.distribution.log else raw
        found = np.clip((values - low) / width, 0.0, 1.0)
        if self._last:
            # To the bit what a draw of the same value is coded as: a step such as 0.1 is no binary number.
            found = np.round(found * self._last, 6) / self._last
        return np.where(np.isnan(raw), INACTIVE, found)

    def value(self, code: float) -> Any:
        """The value of a code."""
        d = self.distribution
        if isinstance(d, CategoricalDistribution):
            return d.choices[int(code)]
        assert isinstance(d, IntDistribution | FloatDistribution)
        if d.log:
            low, width = self._scale()
            value = math.exp(low + code * width)
            return min(max(round(value) if isinstance(d, IntDistribution) else value, d.low), d.high)
        if isinstance(d, IntDistribution):
            # In whole numbers: a float does not hold every one of a wide range.
            return d.low + d.step * min(round(code * ((d.high - d.low) // d.step)), (d.high - d.low) // d.step)
        value = d.low + code * (d.high - d.low)
        return min(max(d.low + d.step * round((value - d.low) / d.step) if d.step else value, d.low), d.high)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Codes drawn evenly."""
        if self.labels:
            return rng.integers(self.levels, size=count).astype(float)
        if self.levels and not self._log():
            return rng.integers(self.levels, size=count) / max(self.levels - 1, 1)
        return self._snapped(rng.random(count))

    def mutated(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Codes that differ from those given, where there is another value; numbers often move by little."""
        count = len(codes)
        if self.levels == 1 or not count:
            return codes
        if self.labels:
            return (codes + rng.integers(1, self.levels, size=count)) % self.levels
        near = rng.random(count) < 0.5
        if self.levels and not self._log():
            last = self.levels - 1
            at = np.rint(codes * last)
            step = np.where(rng.random(count) < 0.5, 1, -1)
            step = np.where((at + step < 0) | (at + step > last), -step, step)
            return np.where(near, at + step, (at + rng.integers(1, self.levels, size=count)) % self.levels) / last
        reach = 10.0 ** rng.uniform(-2.5, -0.5, size=count)
        moved = np.clip(codes + reach * rng.standard_normal(count), 0.0, 1.0)
        return self._snapped(np.where(near, moved, rng.random(count)))

    def widened(self, distribution: BaseDistribution) -> Column:
        """The column whose bounds hold those of another distribution as well."""
        old = self.distribution
        if old == distribution:
            return self
        if isinstance(old, IntDistribution) and isinstance(distribution, IntDistribution):
            low, high = min(old.low, distribution.low), max(old.high, distribution.high)
            # The coarsest grid that holds every value of both.
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

    def _scale(self) -> tuple[float, float]:
        d = self.distribution
        assert isinstance(d, IntDistribution | FloatDistribution)
        low, high = (math.log(d.low), math.log(d.high)) if d.log else (float(d.low), float(d.high))
        return low, (high - low) or 1.0

    def _snapped(self, codes: np.ndarray) -> np.ndarray:
        """The codes of values that the distribution holds, so that equal values have equal codes."""
        d = self.distribution
        if isinstance(d, FloatDistribution) and d.step is None:
            return codes
        low, width = self._scale()
        assert isinstance(d, IntDistribution | FloatDistribution) and d.step is not None
        if d.log:
            return self.codes(np.clip(np.rint(np.exp(low + codes * width)), d.low, d.high))
        if self._last:
            return np.rint(codes * self._last) / self._last
        return np.clip(np.rint(codes * width / d.step) * d.step / width, 0.0, 1.0)


def _order(choices: tuple[Any, ...]) -> np.ndarray | None:
    """The place of each label in their order, 0 to 1, when all are numbers and there are three or more."""
    if len(choices) < 3 or not all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices):
        return None
    places = np.argsort(np.argsort(np.array(choices, dtype=float)))
    return places / (len(choices) - 1)


def alike(columns: list[Column]) -> list[tuple[int, ...]]:
    """Groups of three or more columns, by number, that choose among the same three or more labels."""
    groups: dict[str, list[int]] = {}
    for p, column in enumerate(columns):
        if isinstance(column.distribution, CategoricalDistribution) and column.levels > 2:
            groups.setdefault(repr(column.distribution.choices), []).append(p)
    return [tuple(group) for group in groups.values() if len(group) > 2]


@dataclass(frozen=True)
class _Split:
    """Whether a parameter is reached, by the states of an earlier one, its parent.

    Attributes:
        reached: by state, as in most trials.
        children: by state, where its trials differ: by which other parameter.
    """

    parent: int
    reached: np.ndarray
    children: Mapping[int, _Split]

    def __call__(self, states: Callable[[int], np.ndarray]) -> np.ndarray:
        """Of candidates whose states `states` gives by parameter, which reach it."""
        own = states(self.parent)
        found: np.ndarray = self.reached[own]
        for state, child in self.children.items():
            found = np.where(own == state, child(states), found)
        return found


class Rules:
    """When a parameter is reached, and between which bounds, learnt from the trials.

    An earlier parameter tells when it is reached, where need be together with others; of bounds it is one.

    Args:
        codes: N x P, the trials.
        columns, names: of the parameters, each after those that it may depend on.
        bounds: by parameter, N x 2 codes of the bounds in each trial, where they are not the same in all.

    Attributes:
        conditional: which parameters are not reached by every trial.
    """

    def __init__(
        self, codes: np.ndarray, columns: list[Column], names: list[str], bounds: Mapping[int, np.ndarray] = NO_BOUNDS
    ) -> None:
        self.columns = columns
        active = codes != INACTIVE
        self.conditional = ~active.all(axis=0)
        self._splits: dict[int, _Split] = {}
        sizes = np.array([column.levels + 2 for column in columns])
        starts = np.cumsum(sizes) - sizes
        # Every state of every parameter against every parameter at once: there are too many pairs to go through.
        seen = np.zeros((len(codes), int(sizes.sum())))
        for q, column in enumerate(columns):
            seen[np.arange(len(codes)), starts[q] + self._states(codes[:, q], column)] = 1.0
        on = seen.T @ active
        off = seen.sum(axis=0)[:, None] - on
        wrong = np.add.reduceat(np.minimum(on, off), starts, axis=0) if len(codes) else on[:0]
        for p in np.flatnonzero(self.conditional):
            least = np.flatnonzero(wrong[:p, p] == wrong[:p, p].min(initial=np.inf))
            if len(least):
                parent = int(max(least, key=lambda q: (_shared(names[p], names[q]), -sizes[q])))
                told = slice(starts[parent], starts[parent] + sizes[parent])
                self._splits[int(p)] = self._split(codes, active[:, p], parent, on[told, p], off[told, p], range(p))
        self._bounds = {p: found for p, limits in bounds.items() if (found := self._bounded(p, codes, limits))}

    def _split(
        self,
        codes: np.ndarray,
        active: np.ndarray,
        parent: int,
        on: np.ndarray,
        off: np.ndarray,
        others: Sequence[int],
        depth: int = 1,
    ) -> _Split:
        """The split by a parent, of whose states so many trials reach the parameter and so many do not."""
        others = [q for q in others if q != parent and self.columns[q].levels > 1]
        children: dict[int, _Split] = {}
        states = self._states(codes[:, parent], self.columns[parent])
        for state in np.flatnonzero(np.minimum(on, off)) if depth < DEPTH else ():
            rows = states == state
            told = [self._told(codes[rows], active[rows], q) for q in others]
            mixed = [_mixed(*each) for each in told]
            if mixed and min(mixed) < _mixed(on[[state]], off[[state]]):
                best = mixed.index(min(mixed))
                child = self._split(codes[rows], active[rows], others[best], *told[best], others, depth + 1)
                children[int(state)] = child
        return _Split(parent, on > off, children)

    def _told(self, codes: np.ndarray, active: np.ndarray, q: int) -> tuple[np.ndarray, np.ndarray]:
        """By state of a parameter, how many trials reach another one, and how many do not."""
        states, size = self._states(codes[:, q], self.columns[q]), self.columns[q].levels + 2
        return np.bincount(states[active], minlength=size), np.bincount(states[~active], minlength=size)

    def _bounded(self, p: int, codes: np.ndarray, limits: np.ndarray) -> tuple[int, np.ndarray] | None:
        """The parameter by whose states the bounds of `p` are narrowest, and those bounds, S x 2."""
        rows = codes[:, p] != INACTIVE
        best: tuple[float, int, np.ndarray] | None = None
        for q, column in enumerate(self.columns[:p]):
            if column.levels < 2:
                continue
            states = self._states(codes[rows, q], column)
            found = np.tile([np.inf, -np.inf], (column.levels + 2, 1))
            np.minimum.at(found[:, 0], states, limits[rows, 0])
            np.maximum.at(found[:, 1], states, limits[rows, 1])
            width = float((found[states, 1] - found[states, 0]).sum())
            if best is None or width < best[0]:
                best = width, q, np.where(np.isfinite(found), found, [0.0, 1.0])
        return None if best is None else best[1:]

    @staticmethod
    def _states(codes: np.ndarray, column: Column) -> np.ndarray:
        """0 for inactive, 1 for active where values cannot be told apart, else from 2 on by value."""
        if not column.levels:
            return (codes != INACTIVE).astype(int)
        spread = 1 if column.labels else max(column.levels - 1, 1)
        return np.where(codes == INACTIVE, 0, np.rint(codes * spread) + 2).astype(int)

    def complete(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """M x P candidates without what is not reached, and with a draw for what is reached and missing."""
        codes = codes.copy()
        known: dict[int, np.ndarray] = {}

        def states(q: int) -> np.ndarray:
            if q not in known:
                known[q] = self._states(codes[:, q], self.columns[q])
            return known[q]

        for p, column in enumerate(self.columns):
            missing = codes[:, p] == INACTIVE
            if p in self._splits:
                reached = self._splits[p](states)
                codes[~reached, p] = INACTIVE
                missing &= reached
            if missing.any() and (p in self._splits or not self.conditional[p]):
                codes[missing, p] = column.draw(int(missing.sum()), rng)
            if p in self._bounds:
                q, limits = self._bounds[p]
                low, high = limits[states(q)].T
                codes[:, p] = np.where(codes[:, p] == INACTIVE, INACTIVE, np.clip(codes[:, p], low, high))
        return codes


def _mixed(on: np.ndarray, off: np.ndarray) -> float:
    """How far the trials of each state disagree: half their Gini impurity, summed (Breiman et al. 1984)."""
    return float((on * off / np.maximum(on + off, 1)).sum())


def _shared(one: str, other: str) -> int:
    """How many leading characters two names share: names are often paths."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
