"""A Gaussian process over coded candidates, with a length scale a parameter learnt from the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

from nas.search.samplers.genome import INACTIVE, Column, alike

__all__ = ["Embedded", "Embedding", "Feature", "Process", "learn"]

NOISE_FLOOR = 1e-4

WEIGHT, WEIGHT_SPREAD, NOISE = 6.6, 1.5, 0.02
"""Before anything is seen: the sum of the features' weights, the spread of each one's logarithm, and the noise.

It is the sum that is given, so that two draws from a wide space are as alike as two from a narrow one: with many
features, a scale of each its own would have any two candidates tell nothing of each other (Hvarfner et al. 2024)."""

KNOTS, BUMP = np.linspace(0.0, 1.0, 6), 0.2
"""Centres and width of the bumps that the effect of a number is made of."""

Embedded = tuple[np.ndarray, np.ndarray]
"""The points and the effects of candidates."""


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


class Embedding:
    """Candidates as points whose squared distances are sums over features, one or more a parameter.

    A label counts as equal or different, and so does active against inactive; a number counts by its squared
    distance; a label that is a number counts in both ways. Of parameters that choose among the same labels, such as
    the operations of a cell or the blocks of a network's stages, it also counts how many chose each. Beside its
    points, a candidate has effects: of each feature a unit vector, whose product with another's says how alike the
    two candidates are in that feature.

    Attributes:
        features: that the distances are made of.
        count: of features.
        of_point, of_effect: the feature of each coordinate of a point, and of the effects.
    """

    def __init__(self, columns: list[Column], conditional: np.ndarray) -> None:
        self._columns = columns
        self.features: list[Feature] = []
        for p, column in enumerate(columns):
            if column.labels and column.levels > 1:
                self.features.append(Feature("same", (p,)))
            elif conditional[p]:
                self.features.append(Feature("active", (p,)))
            if (not column.labels and column.levels != 1) or column.ranks is not None:
                self.features.append(Feature("place", (p,)))
        for group in alike(columns):
            self.features += [Feature("share", group, level) for level in range(columns[group[0]].levels)]
        self.count = len(self.features)
        widths = [
            {"same": columns[f.columns[0]].levels + 1, "active": 2, "place": 1, "share": 1}[f.kind]
            for f in self.features
        ]
        self.of_point = np.repeat(np.arange(self.count), widths)
        self.of_effect = np.repeat(np.arange(self.count), [w if w > 1 else len(KNOTS) for w in widths])
        self._lay_out()

    def _lay_out(self) -> None:
        """Plan how all states and all places are found at once, and where each belongs."""
        p, states, self._placed = len(self._columns), [], []
        owners: tuple[list[int], list[int]] = [], []
        for number, feature in enumerate(self.features):
            column = feature.columns[0]
            if feature.kind in ("place", "share"):
                self._placed.append(feature)
                owners[1].append(number)
                continue
            levels = range(-1, self._columns[column].levels) if feature.kind == "same" else (int(INACTIVE), 0)
            states += [(column if feature.kind == "same" else p + column, level) for level in levels]
            owners[0].extend([number] * len(levels))
        self._state_source, self._state = np.array(states, dtype=int).reshape(-1, 2).T
        self._point_order = np.argsort(owners[0] + owners[1], kind="stable")
        bumps = [number for number in owners[1] for _ in KNOTS]
        self._effect_order = np.argsort(owners[0] + bumps, kind="stable")

    def __call__(self, codes: np.ndarray) -> Embedded:
        """N x P codes as N x D points and N x E effects."""
        active = np.minimum(np.ceil(codes), 0.0)
        one_hot = (np.concatenate([codes, active], axis=1)[:, self._state_source] == self._state).astype(float)
        places = [np.zeros((len(codes), 0)), *(self._place(feature, codes) for feature in self._placed)]
        place = np.concatenate(places, axis=1)
        bumps = np.exp(-0.5 * ((place[:, :, None] - KNOTS) / BUMP) ** 2)
        bumps /= np.linalg.norm(bumps, axis=2, keepdims=True)
        points = np.concatenate([one_hot * np.sqrt(0.5), place], axis=1)
        effects = np.concatenate([one_hot, bumps.reshape(len(codes), -1)], axis=1)
        return points[:, self._point_order], effects[:, self._effect_order]

    def _place(self, feature: Feature, codes: np.ndarray) -> np.ndarray:
        """N x 1 numbers from 0 to 1."""
        code = codes[:, feature.columns]
        if feature.kind == "share":
            return (code == feature.level).mean(axis=1, keepdims=True)
        ranks = self._columns[feature.columns[0]].ranks
        return np.where(code == INACTIVE, 0.5, code if ranks is None else ranks[code.astype(int)])

    def pairs(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances and likenesses by feature, F x T each, for the T pairs above the diagonal."""
        points, effects = self(codes)
        upper = np.triu_indices(len(codes), 1)
        distance, likeness = np.zeros((2, self.count, len(upper[0])))
        for feature in range(self.count):
            point, effect = points[:, self.of_point == feature], effects[:, self.of_effect == feature]
            distance[feature] = _squared(point, point)[upper]
            likeness[feature] = (effect @ effect.T)[upper]
        return distance, likeness


def _squared(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Squared distances between N x D and M x D points: N x M."""
    found = (one * one).sum(1)[:, None] + (other * other).sum(1)[None] - 2.0 * one @ other.T
    return np.maximum(found, 0.0)


def matern(squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Matern 5/2 kernel of squared distances, and its derivative by them (Rasmussen & Williams 2006, eq. 4.17)."""
    root = np.sqrt(5.0 * squared)
    decay = np.exp(-root)
    return (1.0 + root + root * root / 3.0) * decay, -(5.0 / 6.0) * (1.0 + root) * decay


@dataclass(frozen=True)
class Hyper:
    """What is learnt.

    Attributes:
        weights: of each feature, the inverse squared length scale.
        joint, additive: variances of the part in which features interact, and of that in which they add up.
        noise: its variance.
    """

    weights: np.ndarray
    joint: float
    additive: float
    noise: float


def learn(pairs: tuple[np.ndarray, np.ndarray], scores: np.ndarray, iterations: int = 30) -> Hyper:
    """The hyper-parameters of the largest posterior density, by L-BFGS on the marginal likelihood.

    Args:
        pairs: F x T distances and likenesses, see `Embedding.pairs`.
        scores: N.
    """
    count = len(pairs[0])
    weight = np.log(WEIGHT / max(count, 1))
    centre = np.array([weight] * count + [np.log(0.5), np.log(0.5), np.log(NOISE)])
    spread = np.array([WEIGHT_SPREAD] * count + [1.0, 1.0, 1.5])
    bounds = [(c - 4 * s, c + 4 * s) for c, s in zip(centre, spread, strict=True)]
    rest, limit = (*pairs, scores, centre, spread), {"maxiter": iterations}
    theta = minimize(_cost, centre, rest, "L-BFGS-B", jac=True, bounds=bounds, options=limit).x
    joint, additive, noise = np.exp(theta[count:]).tolist()
    return Hyper(np.exp(theta[:count]), joint, additive, noise)


def _cost(
    theta: np.ndarray,
    distance: np.ndarray,
    likeness: np.ndarray,
    scores: np.ndarray,
    centre: np.ndarray,
    spread: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Minus the log posterior density of log hyper-parameters, and its gradient (Rasmussen & Williams 2006, eq. 5.9).

    The logarithms are those of the weights, the joint and the additive variance, and the noise, in this order.
    """
    count, upper = len(scores), np.triu_indices(len(scores), 1)
    weights, (joint, additive, noise) = np.exp(theta[:-3]), np.exp(theta[-3:])
    shares = weights / weights.sum()
    value, slope = matern(weights @ distance)
    alike = shares @ likeness
    kernel = np.zeros((count, count))
    kernel[upper] = joint * value + additive * alike
    kernel += kernel.T
    np.fill_diagonal(kernel, joint + additive + noise + NOISE_FLOOR)
    lower = np.linalg.cholesky(kernel)
    inverse = cho_solve((lower, True), np.eye(count), check_finite=False)
    alpha = inverse @ scores
    outer = inverse - np.outer(alpha, alpha)
    pairs, trace = outer[upper], np.trace(outer)
    together = alike @ pairs
    by_weight = joint * weights * (distance @ (pairs * slope)) + additive * shares * (likeness @ pairs - together)
    by_part = [joint * (value @ pairs + trace / 2), additive * (together + trace / 2), noise * trace / 2]
    away = (theta - centre) / spread
    cost = 0.5 * scores @ alpha + np.log(np.diag(lower)).sum() + 0.5 * away @ away
    return float(cost), np.concatenate([by_weight, by_part]) + away / spread


class Process:
    """The process given what was seen; pending points narrow it without moving it."""

    def __init__(
        self, embedding: Embedding, hyper: Hyper, seen: np.ndarray, scores: np.ndarray, pending: np.ndarray
    ) -> None:
        self._embedding, self._hyper = embedding, hyper
        self._known = self._stretched(embedding(np.concatenate([seen, pending])))
        kernel = self._kernel(self._known, self._known)
        kernel[np.diag_indices(len(kernel))] += hyper.noise + NOISE_FLOOR
        self._lower = np.linalg.cholesky(kernel)
        # The leading block of the factor is the factor of the leading block: the mean is that without the pending.
        block = self._lower[: len(seen), : len(seen)]
        self._alpha = cho_solve((block, True), scores, check_finite=False)

    def _stretched(self, embedded: Embedded) -> Embedded:
        points, effects = embedded
        weights = self._hyper.weights
        shares = weights / weights.sum()
        return points * np.sqrt(weights[self._embedding.of_point]), effects * np.sqrt(shares[self._embedding.of_effect])

    def _kernel(self, one: Embedded, other: Embedded) -> np.ndarray:
        (p, e), (q, f) = one, other
        return self._hyper.joint * matern(_squared(p, q))[0] + self._hyper.additive * e @ f.T

    def __call__(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations, without the noise, of M x P candidates."""
        return self.at(self._embedding(codes))

    def at(self, embedded: Embedded) -> tuple[np.ndarray, np.ndarray]:
        """The same of candidates that are embedded already."""
        cross = self._kernel(self._known, self._stretched(embedded))
        half = solve_triangular(self._lower, cross, lower=True, check_finite=False)
        variance = self._hyper.joint + self._hyper.additive - (half * half).sum(0)
        return self._alpha @ cross[: len(self._alpha)], np.sqrt(np.maximum(variance, 1e-12))
