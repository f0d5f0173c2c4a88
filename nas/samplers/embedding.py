"""Candidates as points of a kernel: what two of them have in common, feature by feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nas.samplers.genome import INACTIVE, Column, alike

__all__ = ["Embedded", "Embedding", "Feature", "squared_distances"]

KNOTS, BUMP = np.linspace(0.0, 1.0, 6), 0.2
"""Centres and width of the bumps that the effect of a number is made of."""


@dataclass(frozen=True)
class Feature:
    """One way in which candidates are alike or differ.

    Attributes:
        kind: "same" label, "active" or not, "place" of a number, or "share" of the columns that have the level.
        columns: by number.
    """

    kind: str
    columns: tuple[int, ...]
    level: int = 0


class Embedded(NamedTuple):
    """N embedded candidates.

    Attributes:
        states: N x S, 1 for the state that each feature of labels is in, and 0 for its others.
        places: N x L, a number from 0 to 1 for each other feature.
        bumps: N x (L * 6), for each place a unit vector, which tells near ones from far.
    """

    states: np.ndarray
    places: np.ndarray
    bumps: np.ndarray

    def scaled(self, states: np.ndarray, places: np.ndarray) -> Embedded:
        """Each coordinate times a factor, S and L of them."""
        return Embedded(self.states * states, self.places * places, self.bumps * np.repeat(places, len(KNOTS)))


class Embedding:
    """Candidates by features, one or more a parameter, in each of which two have a distance and a likeness.

    A label counts as equal or different, and so does active against inactive; a number counts by its squared
    distance; a label that is a number counts in both ways. Of parameters that choose among the same labels, such as
    the operations of a cell or the blocks of a network's stages, it also counts how many chose each. The likeness is
    1 or 0 of labels, and of numbers the product of their bumps.

    Attributes:
        features: those of labels, then those of places.
        labels, count: how many features are of labels, and how many there are.
        of_state: the feature of each column of `Embedded.states`.
    """

    def __init__(self, columns: list[Column], conditional: np.ndarray) -> None:
        self._columns = columns
        states: list[Feature] = []
        self._numbers: list[int] = []
        self._ranked: list[tuple[int, np.ndarray]] = []
        for p, column in enumerate(columns):
            if column.labels and column.levels > 1:
                states.append(Feature("same", (p,)))
            elif conditional[p]:
                states.append(Feature("active", (p,)))
            if column.ranks is not None:
                self._ranked.append((p, column.ranks))
            elif not column.labels and column.levels != 1:
                self._numbers.append(p)
        self._groups = [(list(group), columns[group[0]].levels) for group in alike(columns)]
        shares = [Feature("share", tuple(group), level) for group, levels in self._groups for level in range(levels)]
        self._placed = [*self._numbers, *(p for p, _ in self._ranked)]
        self.features = [*states, *(Feature("place", (p,)) for p in self._placed), *shares]
        self.labels, self.count = len(states), len(self.features)
        self._list_states(states)

    def _list_states(self, features: list[Feature]) -> None:
        """Of each state: its feature, where it is looked up among the codes and their activity, and its code there."""
        found: list[tuple[int, int, int]] = []
        for number, feature in enumerate(features):
            (p,) = feature.columns
            if feature.kind == "same":
                found += [(number, p, level) for level in range(int(INACTIVE), self._columns[p].levels)]
            else:
                found += [(number, len(self._columns) + p, level) for level in (int(INACTIVE), 0)]
        self.of_state, self._source, self._state = np.array(found, dtype=int).reshape(-1, 3).T

    def __call__(self, codes: np.ndarray) -> Embedded:
        """N x P codes, embedded."""
        active = np.minimum(np.ceil(codes), 0.0)
        states = np.concatenate([codes, active], axis=1)[:, self._source] == self._state
        places = self._places(codes)
        bumps = np.exp(-0.5 * ((places[:, :, None] - KNOTS) / BUMP) ** 2)
        bumps /= np.linalg.norm(bumps, axis=2, keepdims=True)
        return Embedded(states.astype(float), places, bumps.reshape(len(codes), -1))

    def _places(self, codes: np.ndarray) -> np.ndarray:
        """N x L numbers from 0 to 1; what is inactive lies in the middle."""
        found = [codes[:, self._numbers]]
        found += [ranks[codes[:, [p]].astype(int)] for p, ranks in self._ranked]
        places = np.concatenate(found, axis=1)
        places[codes[:, self._placed] == INACTIVE] = 0.5
        shares = [(codes[:, group, None] == np.arange(levels)).mean(axis=1) for group, levels in self._groups]
        return np.concatenate([places, *shares], axis=1)

    def pairs(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances and likenesses by feature, F x T each, for the T pairs above the diagonal."""
        embedded, upper = self(codes), np.triu_indices(len(codes), 1)
        distance, likeness = np.zeros((2, self.count, len(upper[0])))
        for feature in range(self.labels):
            states = embedded.states[:, self.of_state == feature]
            likeness[feature] = (states @ states.T)[upper]
            distance[feature] = 1.0 - likeness[feature]
        bumps = embedded.bumps.reshape(len(codes), -1, len(KNOTS))
        for place, feature in enumerate(range(self.labels, self.count)):
            likeness[feature] = (bumps[:, place] @ bumps[:, place].T)[upper]
            distance[feature] = squared_distances(embedded.places[:, [place]], embedded.places[:, [place]])[upper]
        return distance, likeness


def squared_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Squared distances between N x D and M x D points: N x M."""
    found = (one * one).sum(1)[:, None] + (other * other).sum(1)[None] - 2.0 * one @ other.T
    return np.maximum(found, 0.0)
