"""Features of candidates for the kernel of the Gaussian process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nas.samplers.column import INACTIVE, Column, groups_of_equal_choices

__all__ = ["Embedded", "Embedding", "Feature", "squared_distances"]

CENTRES, WIDTH = np.linspace(0.0, 1.0, 6), 0.2
"""Centres and width of the Gaussian basis functions of a number."""


@dataclass(frozen=True)
class Feature:
    """Feature of a candidate.

    Attributes:
        kind: "choice" of a parameter, "active" or not, "position" of a number, or "share" of the columns that have
            the choice `choice`.
        columns: indices of its columns.
        choice: index of the choice of a share.
    """

    kind: str
    columns: tuple[int, ...]
    choice: int = 0


class Embedded(NamedTuple):
    """N embedded candidates.

    Attributes:
        states: N x S, one-hot states of the categorical features.
        positions: N x L, numbers from 0 to 1, one for each other feature.
        bases: N x (L * 6), basis functions of each position, normalized to a unit vector.
    """

    states: np.ndarray
    positions: np.ndarray
    bases: np.ndarray

    def scaled(self, states: np.ndarray, positions: np.ndarray) -> Embedded:
        """Multiply each coordinate by a factor; `states` holds S factors, `positions` L."""
        return Embedded(
            self.states * states, self.positions * positions, self.bases * np.repeat(positions, len(CENTRES))
        )


class Embedding:
    """Embedding of candidates by features. Two candidates have a distance and a similarity in each feature.

    - Choices are equal or different, as are active and inactive: distance 0 or 1, similarity 1 or 0.
    - A number has the squared distance and the inner product of its basis functions.
    - A choice that is a number counts in both ways.
    - Parameters with the same choices, such as the operations of a cell or the blocks of a network's stages, also
      count by how many of them have each choice.

    Args:
        columns: P parameters.
        conditional: P, whether the parameter may be inactive.

    Attributes:
        features: the categorical features, then those with a position.
        n_categorical, n_features: number of categorical features, and of all features.
        feature_of_state: S, index of the feature of each column of `Embedded.states`.
    """

    def __init__(self, columns: list[Column], conditional: np.ndarray) -> None:
        self._columns = columns
        categorical: list[Feature] = []
        self._numeric: list[int] = []
        self._ranked: list[tuple[int, np.ndarray]] = []
        for p, column in enumerate(columns):
            if column.categorical and column.n_values > 1:
                categorical.append(Feature("choice", (p,)))
            elif conditional[p]:
                categorical.append(Feature("active", (p,)))
            if column.ranks is not None:
                self._ranked.append((p, column.ranks))
            elif not column.categorical and column.n_values != 1:
                self._numeric.append(p)
        self._groups = [(list(group), columns[group[0]].n_values) for group in groups_of_equal_choices(columns)]
        shares = [
            Feature("share", tuple(group), choice) for group, choices in self._groups for choice in range(choices)
        ]
        self._positioned = [*self._numeric, *(p for p, _ in self._ranked)]
        self.features = [*categorical, *(Feature("position", (p,)) for p in self._positioned), *shares]
        self.n_categorical, self.n_features = len(categorical), len(self.features)
        self._index_states(categorical)

    def _index_states(self, features: list[Feature]) -> None:
        """Note for each state its feature, its source among codes and activity, and its value there."""
        found: list[tuple[int, int, int]] = []
        for number, feature in enumerate(features):
            (p,) = feature.columns
            if feature.kind == "choice":
                found += [(number, p, choice) for choice in range(int(INACTIVE), self._columns[p].n_values)]
            else:
                found += [(number, len(self._columns) + p, active) for active in (int(INACTIVE), 0)]
        self.feature_of_state, self._source, self._state = np.array(found, dtype=int).reshape(-1, 3).T

    def __call__(self, codes: np.ndarray) -> Embedded:
        """Embed N x P codes."""
        active = np.minimum(np.ceil(codes), 0.0)
        states = np.concatenate([codes, active], axis=1)[:, self._source] == self._state
        positions = self._positions(codes)
        bases = np.exp(-0.5 * ((positions[:, :, None] - CENTRES) / WIDTH) ** 2)
        bases /= np.linalg.norm(bases, axis=2, keepdims=True)
        return Embedded(states.astype(float), positions, bases.reshape(len(codes), -1))

    def _positions(self, codes: np.ndarray) -> np.ndarray:
        """Return N x L positions from 0 to 1; that of an inactive parameter is 0.5."""
        found = [codes[:, self._numeric]]
        found += [ranks[codes[:, [p]].astype(int)] for p, ranks in self._ranked]
        positions = np.concatenate(found, axis=1)
        positions[codes[:, self._positioned] == INACTIVE] = 0.5
        shares = [(codes[:, group, None] == np.arange(choices)).mean(axis=1) for group, choices in self._groups]
        return np.concatenate([positions, *shares], axis=1)

    def pairwise(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return squared distances and similarities by feature, F x T each, for the T pairs above the diagonal."""
        embedded, upper = self(codes), np.triu_indices(len(codes), 1)
        distance, similarity = np.zeros((2, self.n_features, len(upper[0])))
        for feature in range(self.n_categorical):
            states = embedded.states[:, self.feature_of_state == feature]
            similarity[feature] = (states @ states.T)[upper]
            distance[feature] = 1.0 - similarity[feature]
        bases = embedded.bases.reshape(len(codes), -1, len(CENTRES))
        for p, feature in enumerate(range(self.n_categorical, self.n_features)):
            similarity[feature] = (bases[:, p] @ bases[:, p].T)[upper]
            distance[feature] = squared_distances(embedded.positions[:, [p]], embedded.positions[:, [p]])[upper]
        return distance, similarity


def squared_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return N x M squared distances between N x D and M x D points."""
    found = (one * one).sum(1)[:, None] + (other * other).sum(1)[None] - 2.0 * one @ other.T
    return np.maximum(found, 0.0)
