"""Conditions of a search space, learned from trials: when a parameter is active, and between which bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.samplers.column import INACTIVE, Column

__all__ = ["LearnedConditions"]

NO_BOUNDS: Mapping[int, np.ndarray] = {}

MAX_DEPTH = 4
"""Maximum depth of the decision tree that predicts whether a parameter is active."""


@dataclass(frozen=True)
class _Tree:
    """Node of a decision tree that predicts whether a parameter is active.

    Attributes:
        parent: index of the earlier parameter whose state the node tests.
        active: prediction by state of the parent, that of the majority of the trials.
        children: by state of the parent, a further test if the trials of this state disagree.
    """

    parent: int
    active: np.ndarray
    children: Mapping[int, _Tree]

    def __call__(self, states: Callable[[int], np.ndarray]) -> np.ndarray:
        """Predict whether the parameter is active in M candidates; `states` returns M states by parameter index."""
        own = states(self.parent)
        active: np.ndarray = self.active[own]
        for state, child in self.children.items():
            active = np.where(own == state, child(states), active)
        return active


class LearnedConditions:
    """Conditions and bounds of parameters, learned from trials.

    A decision tree over the earlier parameters predicts whether a parameter is active. Bounds depend on one earlier
    parameter.

    Args:
        codes: N x P, the trials.
        columns, names: P parameters, each after those that it may depend on.
        bounds: by parameter index, N x 2 codes of the bounds in each trial, for bounds that differ between trials.

    Attributes:
        conditional: P, whether the parameter is inactive in some trial.
    """

    def __init__(
        self, codes: np.ndarray, columns: list[Column], names: list[str], bounds: Mapping[int, np.ndarray] = NO_BOUNDS
    ) -> None:
        self.columns = columns
        active = codes != INACTIVE
        self.conditional = ~active.all(axis=0)
        self._trees: dict[int, _Tree] = {}
        sizes = np.array([column.n_values + 2 for column in columns])
        starts = np.cumsum(sizes) - sizes
        # One-hot states, for the counts of all pairs in one product: a loop over pairs would be too slow.
        one_hot = np.zeros((len(codes), int(sizes.sum())))
        for q, column in enumerate(columns):
            one_hot[np.arange(len(codes)), starts[q] + self._states(codes[:, q], column)] = 1.0
        on = one_hot.T @ active
        off = one_hot.sum(axis=0)[:, None] - on
        errors = np.add.reduceat(np.minimum(on, off), starts, axis=0) if len(codes) else on[:0]
        for p in np.flatnonzero(self.conditional):
            best = np.flatnonzero(errors[:p, p] == errors[:p, p].min(initial=np.inf))
            if len(best):
                parent = int(max(best, key=lambda q: (_common_prefix(names[p], names[q]), -sizes[q])))
                rows = slice(starts[parent], starts[parent] + sizes[parent])
                self._trees[int(p)] = self._grow(codes, active[:, p], parent, on[rows, p], off[rows, p], range(p))
        self._bounds = {p: found for p, limits in bounds.items() if (found := self._learn_bounds(p, codes, limits))}

    def _grow(
        self,
        codes: np.ndarray,
        active: np.ndarray,
        parent: int,
        on: np.ndarray,
        off: np.ndarray,
        candidates: Sequence[int],
        depth: int = 1,
    ) -> _Tree:
        """Grow a tree that tests `parent` first; `on` and `off` count active and inactive trials by its state."""
        candidates = [q for q in candidates if q != parent and self.columns[q].n_values > 1]
        children: dict[int, _Tree] = {}
        states = self._states(codes[:, parent], self.columns[parent])
        for state in np.flatnonzero(np.minimum(on, off)) if depth < MAX_DEPTH else ():
            rows = states == state
            counts = [self._counts(codes[rows], active[rows], q) for q in candidates]
            impurities = [_impurity(*each) for each in counts]
            if impurities and min(impurities) < _impurity(on[[state]], off[[state]]):
                best = impurities.index(min(impurities))
                child = self._grow(codes[rows], active[rows], candidates[best], *counts[best], candidates, depth + 1)
                children[int(state)] = child
        return _Tree(parent, on > off, children)

    def _counts(self, codes: np.ndarray, active: np.ndarray, q: int) -> tuple[np.ndarray, np.ndarray]:
        """Count the active and the inactive trials by state of parameter q."""
        states, size = self._states(codes[:, q], self.columns[q]), self.columns[q].n_values + 2
        return np.bincount(states[active], minlength=size), np.bincount(states[~active], minlength=size)

    def _learn_bounds(self, p: int, codes: np.ndarray, limits: np.ndarray) -> tuple[int, np.ndarray] | None:
        """Find the earlier parameter whose states bound p most tightly; return its index and S x 2 bounds by state."""
        rows = codes[:, p] != INACTIVE
        best: tuple[float, int, np.ndarray] | None = None
        for q, column in enumerate(self.columns[:p]):
            if column.n_values < 2:
                continue
            states = self._states(codes[rows, q], column)
            found = np.tile([np.inf, -np.inf], (column.n_values + 2, 1))
            np.minimum.at(found[:, 0], states, limits[rows, 0])
            np.maximum.at(found[:, 1], states, limits[rows, 1])
            width = float((found[states, 1] - found[states, 0]).sum())
            if best is None or width < best[0]:
                best = width, q, np.where(np.isfinite(found), found, [0.0, 1.0])
        return None if best is None else best[1:]

    @staticmethod
    def _states(codes: np.ndarray, column: Column) -> np.ndarray:
        """Return 0 for inactive, 1 for active without enumerable values, else 2 plus the index of the value."""
        if not column.n_values:
            return (codes != INACTIVE).astype(int)
        scale = 1 if column.categorical else max(column.n_values - 1, 1)
        return np.where(codes == INACTIVE, 0, np.rint(codes * scale) + 2).astype(int)

    def complete(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Drop inactive values of M x P candidates, sample missing ones and clip to the bounds."""
        codes = codes.copy()
        cache: dict[int, np.ndarray] = {}

        def states(q: int) -> np.ndarray:
            if q not in cache:
                cache[q] = self._states(codes[:, q], self.columns[q])
            return cache[q]

        for p, column in enumerate(self.columns):
            missing = codes[:, p] == INACTIVE
            if p in self._trees:
                active = self._trees[p](states)
                codes[~active, p] = INACTIVE
                missing &= active
            if missing.any() and (p in self._trees or not self.conditional[p]):
                codes[missing, p] = column.sample(int(missing.sum()), rng)
            if p in self._bounds:
                q, limits = self._bounds[p]
                low, high = limits[states(q)].T
                codes[:, p] = np.where(codes[:, p] == INACTIVE, INACTIVE, np.clip(codes[:, p], low, high))
        return codes


def _impurity(on: np.ndarray, off: np.ndarray) -> float:
    """Sum half the Gini impurity of each state, weighted by its trials (Breiman et al. 1984)."""
    return float((on * off / np.maximum(on + off, 1)).sum())


def _common_prefix(one: str, other: str) -> int:
    """Return the length of the common prefix of two names, which are often paths."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
