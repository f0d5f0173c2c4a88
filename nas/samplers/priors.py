"""What the user believes to be best, as a density over candidates that a search leans on and then forgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from nas.samplers.genome import INACTIVE, Column
from nas.samplers.independent import holds

__all__ = ["Priors"]

SHARE = 0.5
"""Of the density that lies at the value believed in; the rest is even over the domain."""

WIDTH = 0.1
"""Standard deviation around a number believed in, as a share of its range."""


class Priors:
    """Beliefs about single parameters, independent of each other.

    Args:
        values: by parameter name, the label or number believed to be best.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def draw(self, seed: int, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any | None:
        """The value believed in, in a share of the trials; None for an even draw."""
        value = self._values.get(name)
        if value is None or not holds(distribution, value):
            return None
        return value if np.random.default_rng([seed, trial.number, 1, *name.encode()]).random() < SHARE else None

    def lean(
        self, codes: np.ndarray, names: Sequence[str], columns: Sequence[Column], rng: np.random.Generator
    ) -> np.ndarray:
        """M x P codes in which a share of the values that are reached has moved to the one believed in."""
        codes = codes.copy()
        for p, code in self._codes(names, columns):
            moved = (codes[:, p] != INACTIVE) & (rng.random(len(codes)) < SHARE)
            codes[moved, p] = code
        return codes

    def log_density(self, codes: np.ndarray, names: Sequence[str], columns: Sequence[Column]) -> np.ndarray:
        """Of M x P candidates, against an even draw; a parameter that is not reached says nothing."""
        found = np.zeros(len(codes))
        for p, code in self._codes(names, columns):
            if columns[p].labels:
                peak = (codes[:, p] == code) * float(columns[p].levels)
            else:
                away = (codes[:, p] - code) / WIDTH
                peak = np.exp(-0.5 * away * away) / (WIDTH * np.sqrt(2.0 * np.pi))
            found += np.where(codes[:, p] == INACTIVE, 0.0, np.log(SHARE * peak + 1.0 - SHARE))
        return found

    def _codes(self, names: Sequence[str], columns: Sequence[Column]) -> list[tuple[int, float]]:
        """The parameters with a belief that their domain holds, and its code."""
        found = []
        for p, (name, column) in enumerate(zip(names, columns, strict=True)):
            value = self._values.get(name)
            if value is not None and holds(column.distribution, value):
                raw = np.array([column.distribution.to_internal_repr(value)], dtype=float)
                found.append((p, float(column.codes(raw)[0])))
        return found
