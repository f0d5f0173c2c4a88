"""A Gaussian process over coded candidates, with a length scale a parameter learnt from the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

from nas.samplers.embedding import Embedded, Embedding, squared_distances

__all__ = ["Hyper", "Process", "learn"]

NOISE_FLOOR = 1e-4

WEIGHT, WEIGHT_SPREAD, NOISE = 6.6, 1.5, 0.02
"""Before anything is seen: the sum of the features' weights, the spread of each one's logarithm, and the noise.

It is the sum that is given, so that two draws from a wide space are as alike as two from a narrow one: with many
features, a scale of each its own would have any two candidates tell nothing of each other (Hvarfner et al. 2024)."""


def matern(squared: np.ndarray) -> np.ndarray:
    """The Matern 5/2 kernel of squared distances (Rasmussen & Williams 2006, eq. 4.17)."""
    root = np.sqrt(5.0 * squared)
    return (1.0 + root + root * root / 3.0) * np.exp(-root)


def matern_slope(squared: np.ndarray) -> np.ndarray:
    """Its derivative by the squared distances."""
    root = np.sqrt(5.0 * squared)
    return -(5.0 / 6.0) * (1.0 + root) * np.exp(-root)


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
    squared = weights @ distance
    value, slope = matern(squared), matern_slope(squared)
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
        roots = np.sqrt(self._hyper.weights)
        return embedded.scaled(roots[self._embedding.of_state], roots[self._embedding.labels :])

    def _kernel(self, one: Embedded, other: Embedded) -> np.ndarray:
        weights, same = self._hyper.weights, one.states @ other.states.T
        differing = np.maximum(weights[: self._embedding.labels].sum() - same, 0.0)
        squared = differing + squared_distances(one.places, other.places)
        alike = (same + one.bumps @ other.bumps.T) / weights.sum()
        return self._hyper.joint * matern(squared) + self._hyper.additive * alike

    def __call__(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations, without the noise, of M x P candidates."""
        return self.at(self._embedding(codes))

    def at(self, embedded: Embedded) -> tuple[np.ndarray, np.ndarray]:
        """The same of candidates that are embedded already."""
        cross = self._kernel(self._known, self._stretched(embedded))
        half = solve_triangular(self._lower, cross, lower=True, check_finite=False)
        variance = self._hyper.joint + self._hyper.additive - (half * half).sum(0)
        return self._alpha @ cross[: len(self._alpha)], np.sqrt(np.maximum(variance, 1e-12))
