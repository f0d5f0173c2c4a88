"""Functional analysis of variance over a conditional space: main effects and interactions of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.samplers.column import INACTIVE, Column

__all__ = ["Decomposition", "Levels", "functional_anova", "interaction_table"]

MAX_VALUES, BINS = 8, 6
"""Maximum number of different values of a number with a level each, and number of equally filled bins beyond it."""

SWEEPS = 6
"""Backfitting sweeps; few are enough, since the effects are nearly orthogonal over random candidates."""


class Levels:
    """Levels of one parameter: its choices, or bins of its values.

    Args:
        codes: M codes of the parameter.
        column: its encoding.

    Attributes:
        index: M, index of each candidate's level, -1 if the parameter is inactive.
        names: name of each level: a choice, a number, or a range of numbers.
    """

    def __init__(self, codes: np.ndarray, column: Column) -> None:
        active = codes != INACTIVE
        lowest = np.unique(codes[active])
        if not column.categorical and len(lowest) > MAX_VALUES:
            edges = np.quantile(codes[active], np.arange(BINS) / BINS, method="inverted_cdf")
            lowest = np.unique([lowest[0], *edges])
        self.index = np.where(active, np.searchsorted(lowest, codes, side="right") - 1, -1)
        members = [codes[self.index == level] for level in range(len(lowest))]
        ends = [(_text(column.decode(some.min())), _text(column.decode(some.max()))) for some in members]
        self.names = [low if low == high else f"{low} to {high}" for low, high in ends] or ["never active"]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.2g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Decomposition:
    """Decomposition of a function's variance.

    Attributes:
        effects: by parameter, the main effect of each of its levels. Its mean over candidates with the parameter is 0.
        shares: P, share of the variance that each parameter explains alone.
        pairs: P x P, above the diagonal: share of the variance that is due to the interaction of two parameters.
        residuals: M, values minus the main effects.
    """

    effects: list[np.ndarray]
    shares: np.ndarray
    pairs: np.ndarray
    residuals: np.ndarray


def functional_anova(values: np.ndarray, levels: Sequence[Levels], min_share: float = 0.01) -> Decomposition:
    """Decompose the variance of a function over random candidates (Sobol 1993).

    The levels of a parameter are compared among the candidates in which it is active, and those of a pair where both
    are. Whether a parameter is active is an effect of the parameter that it is conditional on. The components add up to
    the variance because the candidates' values are independent. The variance that noise alone would add to an effect,
    (levels - 1) x residual variance / M, is subtracted.

    Args:
        values: M values of the function.
        levels: levels of P parameters.
        min_share: share of the variance below which an interaction counts as 0.
    """
    count, total = len(values), float(values.var())
    if total <= 1e-12:
        no_pairs = np.zeros((len(levels), len(levels)))
        return Decomposition([np.zeros(len(p.names)) for p in levels], np.zeros(len(levels)), no_pairs, np.zeros(count))
    effects, residuals = _main_effects(values, levels)
    noise = float(residuals.var())
    shares = np.zeros(len(levels))
    for p, (parameter, effect) in enumerate(zip(levels, effects, strict=True)):
        squares = (effect[parameter.index[parameter.index >= 0]] ** 2).sum()
        shares[p] = max(squares - (len(effect) - 1) * noise, 0.0) / count / total
    pairs = _interactions(residuals, levels, min_share * count * total) / count / total
    return Decomposition(effects, shares, pairs, residuals)


def _main_effects(values: np.ndarray, levels: Sequence[Levels]) -> tuple[list[np.ndarray], np.ndarray]:
    """Fit main effects by backfitting (Hastie & Tibshirani 1990); return them and the residuals."""
    residuals = values - values.mean()
    effects = [np.zeros(len(parameter.names)) for parameter in levels]
    active = [np.flatnonzero(parameter.index >= 0) for parameter in levels]
    for _ in range(SWEEPS):
        for p, (parameter, rows) in enumerate(zip(levels, active, strict=True)):
            if len(effects[p]) < 2:
                continue
            index = parameter.index[rows]
            counts = np.bincount(index, minlength=len(effects[p]))
            fitted = effects[p] + np.bincount(index, residuals[rows], len(effects[p])) / counts
            fitted -= np.average(fitted, weights=counts)
            residuals[rows] -= (fitted - effects[p])[index]
            effects[p] = fitted
    return effects, residuals - residuals.mean()


def _interactions(residuals: np.ndarray, levels: Sequence[Levels], min_squares: float) -> np.ndarray:
    """Return P x P sums of squares of the interactions, 0 if less than `min_squares`.

    The squares of a pair's cell means bound those of its interaction, so most pairs need not be fitted.
    """
    widths = [len(parameter.names) for parameter in levels]
    one_hot = np.concatenate(
        [parameter.index[:, None] == np.arange(width) for parameter, width in zip(levels, widths, strict=True)], axis=1
    ).astype(np.float32)
    counts = (one_hot.T @ one_hot).astype(float)
    sums = (one_hot.T @ (one_hot * residuals[:, None].astype(np.float32))).astype(float)
    starts = np.concatenate([[0], np.cumsum(widths)])
    squares = sums**2 / np.maximum(counts, 1.0)
    bound = np.add.reduceat(np.add.reduceat(squares, starts[:-1], axis=0), starts[:-1], axis=1)
    found, noise = np.zeros(bound.shape), float(residuals.var())
    for p, q in zip(*np.nonzero(np.triu(bound, 1) > min_squares), strict=True):
        block = np.s_[starts[p] : starts[p + 1], starts[q] : starts[q + 1]]
        pair_squares, degrees = _interaction_squares(sums[block], counts[block])
        found[p, q] = max(pair_squares - degrees * noise, 0.0)
    return np.where(found > min_squares, found, 0.0)


def _interaction_squares(sums: np.ndarray, counts: np.ndarray) -> tuple[float, int]:
    """Return the sum of squares of a two-way table beyond its row and column means, and its degrees of freedom."""
    filled = counts > 0
    rows, columns = filled.any(1), filled.any(0)
    means = sums / np.maximum(counts, 1.0)
    for _ in range(2):
        means = means - _weighted_mean(means, counts, 1)[:, None]
        means = means - _weighted_mean(means, counts, 0)[None]
    degrees = int(filled.sum() - rows.sum() - columns.sum() + 1) if filled.any() else 0
    return float((counts * means**2).sum()), max(degrees, 0)


def _weighted_mean(cells: np.ndarray, counts: np.ndarray, axis: int) -> np.ndarray:
    return (cells * counts).sum(axis) / np.maximum(counts.sum(axis), 1.0)


def interaction_table(parts: Decomposition, levels: Sequence[Levels], p: int, q: int) -> np.ndarray:
    """Return the gain of each level of p over p's other levels, at each level of q; nan for empty cells."""
    one, other = levels[p], levels[q]
    both = np.flatnonzero((one.index >= 0) & (other.index >= 0))
    shape = len(one.names), len(other.names)
    cell = one.index[both] * shape[1] + other.index[both]
    counts = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.bincount(cell, parts.residuals[both], shape[0] * shape[1]).reshape(shape)
    effect = parts.effects[p][:, None] + sums / np.maximum(counts, 1)
    effect = effect - _weighted_mean(effect, counts, 0)[None]
    share_of_others = 1.0 - counts / np.maximum(counts.sum(0), 1)[None]
    gain = effect / np.maximum(share_of_others, 1e-9)
    return np.where((counts > 0) & (share_of_others > 0), gain, np.nan)
