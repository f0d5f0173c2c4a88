"""Priors of the user: a density over candidates that guides the search at first and loses weight later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from nas.samplers.column import INACTIVE, Column
from nas.samplers.independent import contains

__all__ = ["Priors"]

PEAK_MASS = 0.5
"""Probability mass at the expected value; the rest is uniform over the domain."""

PEAK_WIDTH = 0.1
"""Standard deviation around an expected number, as a share of its range."""


class Priors:
    """Independent priors of single parameters.

    A value outside its parameter's domain is ignored.

    Args:
        values: value expected to be best, by parameter name.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def sample(self, seed: int, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any | None:
        """Return the expected value with probability PEAK_MASS, else None for a uniform sample."""
        value = self._values.get(name)
        if value is None or not contains(distribution, value):
            return None
        return value if np.random.default_rng([seed, trial.number, 1, *name.encode()]).random() < PEAK_MASS else None

    def apply(
        self, codes: np.ndarray, names: Sequence[str], columns: Sequence[Column], rng: np.random.Generator
    ) -> np.ndarray:
        """Set each active value of M x P codes to the expected one with probability PEAK_MASS."""
        codes = codes.copy()
        for p, code in self._expected_codes(names, columns):
            replaced = (codes[:, p] != INACTIVE) & (rng.random(len(codes)) < PEAK_MASS)
            codes[replaced, p] = code
        return codes

    def log_density(self, codes: np.ndarray, names: Sequence[str], columns: Sequence[Column]) -> np.ndarray:
        """Return the M log densities of M x P codes relative to the uniform density; inactive parameters count 0."""
        density = np.zeros(len(codes))
        for p, code in self._expected_codes(names, columns):
            if columns[p].categorical:
                peak = (codes[:, p] == code) * float(columns[p].n_values)
            else:
                z = (codes[:, p] - code) / PEAK_WIDTH
                peak = np.exp(-0.5 * z * z) / (PEAK_WIDTH * np.sqrt(2.0 * np.pi))
            density += np.where(codes[:, p] == INACTIVE, 0.0, np.log(PEAK_MASS * peak + 1.0 - PEAK_MASS))
        return density

    def _expected_codes(self, names: Sequence[str], columns: Sequence[Column]) -> list[tuple[int, float]]:
        """Return index and code of each expected value that its domain contains."""
        found = []
        for p, (name, column) in enumerate(zip(names, columns, strict=True)):
            value = self._values.get(name)
            if value is not None and contains(column.distribution, value):
                raw = np.array([column.distribution.to_internal_repr(value)], dtype=float)
                found.append((p, float(column.encode(raw)[0])))
        return found
