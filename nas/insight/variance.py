"""The variance of a function over a conditional space, split into what single parameters do and what pairs do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.samplers.genome import INACTIVE, Column

__all__ = ["Levels", "Split", "pair_table", "split"]

FEW, BINS = 8, 6
"""Values up to which a number is taken value by value; bins of as many draws each, otherwise."""

SWEEPS = 6
"""Times that every effect is fitted to what the others leave: the draws make them nearly orthogonal."""


class Levels:
    """One parameter of M candidates in a few levels.

    Attributes:
        of: M, the level of each candidate, -1 where it does not reach the parameter.
        names: of the levels: a label, a number, or a range of numbers.
    """

    def __init__(self, codes: np.ndarray, column: Column) -> None:
        active = codes != INACTIVE
        lowest = np.unique(codes[active])
        if not column.labels and len(lowest) > FEW:
            edges = np.quantile(codes[active], np.arange(BINS) / BINS, method="inverted_cdf")
            lowest = np.unique([lowest[0], *edges])
        self.of = np.where(active, np.searchsorted(lowest, codes, side="right") - 1, -1)
        members = [codes[self.of == level] for level in range(len(lowest))]
        ends = [(_shown(column.value(some.min())), _shown(column.value(some.max()))) for some in members]
        self.names = [low if low == high else f"{low} to {high}" for low, high in ends] or ["never reached"]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.2g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Split:
    """What a function's variance is made of.

    Attributes:
        effects: of each level of each parameter, the mean over the candidates that have it, beyond what the
            other parameters do; in the mean of those that reach the parameter zero.
        shares: of the variance, each parameter's alone.
        pairs: of the variance, what each two parameters do together beyond what each does: P x P, above the diagonal.
        rest: M, what the effects of single parameters leave.
    """

    effects: list[np.ndarray]
    shares: np.ndarray
    pairs: np.ndarray
    rest: np.ndarray


def split(values: np.ndarray, levels: Sequence[Levels], least: float = 0.01) -> Split:
    """The functional analysis of variance (Sobol 1993) of a function known at M candidates drawn from the space.

    A parameter's values are compared among the candidates that reach it, and count by how many these are; whether
    it is reached at all is an effect of the parameter that decides it. Two parameters are compared where both are
    reached. Draws being independent, the parts add up to the variance. What chance alone adds to a variance
    between levels, (levels - 1) x the variance within / M, is taken off.

    Args:
        values: M.
        levels: P.
        least: share of the variance under which a pair is not looked at, and counts as 0.
    """
    count, total = len(values), float(values.var())
    if total <= 1e-12:
        empty = np.zeros((len(levels), len(levels)))
        return Split([np.zeros(len(p.names)) for p in levels], np.zeros(len(levels)), empty, np.zeros(count))
    effects, rest = _additive(values, levels)
    noise = float(rest.var())
    shares = np.zeros(len(levels))
    for p, (one, effect) in enumerate(zip(levels, effects, strict=True)):
        squares = (effect[one.of[one.of >= 0]] ** 2).sum()
        shares[p] = max(squares - (len(effect) - 1) * noise, 0.0) / count / total
    return Split(effects, shares, _pairs(rest, levels, least * count * total) / count / total, rest)


def _additive(values: np.ndarray, levels: Sequence[Levels]) -> tuple[list[np.ndarray], np.ndarray]:
    """Effects of single parameters, by backfitting (Hastie & Tibshirani 1990), and what they leave."""
    rest = values - values.mean()
    effects = [np.zeros(len(one.names)) for one in levels]
    reached = [np.flatnonzero(one.of >= 0) for one in levels]
    for _ in range(SWEEPS):
        for p, (one, rows) in enumerate(zip(levels, reached, strict=True)):
            if len(effects[p]) < 2:
                continue
            of = one.of[rows]
            counts = np.bincount(of, minlength=len(effects[p]))
            fitted = effects[p] + np.bincount(of, rest[rows], len(effects[p])) / counts
            fitted -= np.average(fitted, weights=counts)
            rest[rows] -= (fitted - effects[p])[of]
            effects[p] = fitted
    return effects, rest - rest.mean()


def _pairs(rest: np.ndarray, levels: Sequence[Levels], least: float) -> np.ndarray:
    """Sums of squares of the interactions, P x P; those that cannot reach `least` are left at 0."""
    widths = [len(one.names) for one in levels]
    hot = np.concatenate(
        [one.of[:, None] == np.arange(width) for one, width in zip(levels, widths, strict=True)], axis=1
    ).astype(np.float32)
    counts = (hot.T @ hot).astype(float)
    sums = (hot.T @ (hot * rest[:, None].astype(np.float32))).astype(float)
    starts = np.concatenate([[0], np.cumsum(widths)])
    blocks = sums**2 / np.maximum(counts, 1.0)
    bound = np.add.reduceat(np.add.reduceat(blocks, starts[:-1], axis=0), starts[:-1], axis=1)
    found, noise = np.zeros(bound.shape), float(rest.var())
    for p, q in zip(*np.nonzero(np.triu(bound, 1) > least), strict=True):
        block = np.s_[starts[p] : starts[p + 1], starts[q] : starts[q + 1]]
        squares, freedom = _together(sums[block], counts[block])
        found[p, q] = max(squares - freedom * noise, 0.0)
    return np.where(found > least, found, 0.0)


def _together(sums: np.ndarray, counts: np.ndarray) -> tuple[float, int]:
    """The sum of squares of a table of cells beyond its rows and columns, and its degrees of freedom."""
    there = counts > 0
    rows, columns = there.any(1), there.any(0)
    means = sums / np.maximum(counts, 1.0)
    for _ in range(2):
        means = means - _mean(means, counts, 1)[:, None]
        means = means - _mean(means, counts, 0)[None]
    freedom = int(there.sum() - rows.sum() - columns.sum() + 1) if there.any() else 0
    return float((counts * means**2).sum()), max(freedom, 0)


def _mean(cells: np.ndarray, counts: np.ndarray, axis: int) -> np.ndarray:
    return (cells * counts).sum(axis) / np.maximum(counts.sum(axis), 1.0)


def pair_table(parts: Split, levels: Sequence[Levels], p: int, q: int) -> np.ndarray:
    """What each level of p is worth, over p's other levels, at each level of q: nan where both are never reached."""
    one, other = levels[p], levels[q]
    both = np.flatnonzero((one.of >= 0) & (other.of >= 0))
    shape = len(one.names), len(other.names)
    cell = one.of[both] * shape[1] + other.of[both]
    counts = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.bincount(cell, parts.rest[both], shape[0] * shape[1]).reshape(shape)
    worth = parts.effects[p][:, None] + sums / np.maximum(counts, 1)
    worth = worth - _mean(worth, counts, 0)[None]
    others = 1.0 - counts / np.maximum(counts.sum(0), 1)[None]
    return np.where((counts > 0) & (others > 0), worth / np.maximum(others, 1e-9), np.nan)
