"""Gaussian process over encoded candidates, with a length scale per feature fitted to the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

from nas.samplers.embedding import Embedded, Embedding, squared_distances

__all__ = [
    "MAX_FIT_TRIALS",
    "MAX_POSTERIOR_TRIALS",
    "GaussianProcess",
    "Hyperparameters",
    "fit_hyperparameters",
]

MAX_FIT_TRIALS, MAX_POSTERIOR_TRIALS = 150, 400
"""Maximum numbers of trials that hyperparameters are fitted to and that a posterior is conditioned on.

Time grows with the cube of either."""

NOISE_FLOOR = 1e-4

PRIOR_WEIGHT_SUM, PRIOR_LOG_WEIGHT_SPREAD, PRIOR_NOISE = 6.6, 1.5, 0.02
"""Prior of the hyperparameters: sum of the features' weights, standard deviation of each log weight, and the noise.

The prior fixes the sum of the weights, so that two random candidates are as similar in a wide space as in a narrow
one. With a fixed weight per feature, candidates of a wide space would be uncorrelated (Hvarfner et al. 2024)."""


def matern(squared: np.ndarray) -> np.ndarray:
    """Return the Matern 5/2 kernel of squared distances (Rasmussen & Williams 2006, eq. 4.17)."""
    root = np.sqrt(5.0 * squared)
    return (1.0 + root + root * root / 3.0) * np.exp(-root)


def matern_derivative(squared: np.ndarray) -> np.ndarray:
    """Return the derivative of `matern` with respect to the squared distances."""
    root = np.sqrt(5.0 * squared)
    return -(5.0 / 6.0) * (1.0 + root) * np.exp(-root)


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of the kernel.

    Attributes:
        weights: F, inverse squared length scale of each feature.
        joint, additive: variances of the component in which features interact, and of the additive component.
        noise: variance of the noise.
    """

    weights: np.ndarray
    joint: float
    additive: float
    noise: float


def fit_hyperparameters(
    pairs: tuple[np.ndarray, np.ndarray], scores: np.ndarray, iterations: int = 30
) -> Hyperparameters:
    """Fit hyperparameters by maximum a posteriori estimation with L-BFGS.

    Args:
        pairs: F x T distances and similarities, see `Embedding.pairwise`.
        scores: N.
        iterations: maximum number of L-BFGS iterations.
    """
    count = len(pairs[0])
    weight = np.log(PRIOR_WEIGHT_SUM / max(count, 1))
    mean = np.array([weight] * count + [np.log(0.5), np.log(0.5), np.log(PRIOR_NOISE)])
    spread = np.array([PRIOR_LOG_WEIGHT_SPREAD] * count + [1.0, 1.0, 1.5])
    bounds = [(m - 4 * s, m + 4 * s) for m, s in zip(mean, spread, strict=True)]
    arguments, limit = (*pairs, scores, mean, spread), {"maxiter": iterations}
    theta = minimize(_negative_log_posterior, mean, arguments, "L-BFGS-B", jac=True, bounds=bounds, options=limit).x
    joint, additive, noise = np.exp(theta[count:]).tolist()
    return Hyperparameters(np.exp(theta[:count]), joint, additive, noise)


def _negative_log_posterior(
    theta: np.ndarray,
    distance: np.ndarray,
    similarity: np.ndarray,
    scores: np.ndarray,
    prior_mean: np.ndarray,
    prior_spread: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Return the negative log posterior and its gradient (Rasmussen & Williams 2006, eq. 5.9).

    `theta` holds the logarithms of the weights, the joint variance, the additive variance and the noise.
    """
    count, upper = len(scores), np.triu_indices(len(scores), 1)
    weights, (joint, additive, noise) = np.exp(theta[:-3]), np.exp(theta[-3:])
    shares = weights / weights.sum()
    squared = weights @ distance
    value, derivative = matern(squared), matern_derivative(squared)
    similar = shares @ similarity
    kernel = np.zeros((count, count))
    kernel[upper] = joint * value + additive * similar
    kernel += kernel.T
    np.fill_diagonal(kernel, joint + additive + noise + NOISE_FLOOR)
    lower = np.linalg.cholesky(kernel)
    inverse = cho_solve((lower, True), np.eye(count), check_finite=False)
    alpha = inverse @ scores
    outer = inverse - np.outer(alpha, alpha)
    pairs, trace = outer[upper], np.trace(outer)
    both = similar @ pairs
    by_weight = joint * weights * (distance @ (pairs * derivative)) + additive * shares * (similarity @ pairs - both)
    by_variance = [joint * (value @ pairs + trace / 2), additive * (both + trace / 2), noise * trace / 2]
    z = (theta - prior_mean) / prior_spread
    cost = 0.5 * scores @ alpha + np.log(np.diag(lower)).sum() + 0.5 * z @ z
    return float(cost), np.concatenate([by_weight, by_variance]) + z / prior_spread


class GaussianProcess:
    """Posterior of a Gaussian process.

    Args:
        embedding: features of the candidates.
        hyperparameters: of the kernel.
        codes: N x P, evaluated candidates.
        scores: N.
        pending: M x P, running candidates. They reduce the variance but do not change the mean, as if evaluated with
            the expected score.
    """

    def __init__(
        self,
        embedding: Embedding,
        hyperparameters: Hyperparameters,
        codes: np.ndarray,
        scores: np.ndarray,
        pending: np.ndarray,
    ) -> None:
        self._embedding, self._hyperparameters = embedding, hyperparameters
        self._known = self._scale(embedding(np.concatenate([codes, pending])))
        kernel = self._kernel(self._known, self._known)
        kernel[np.diag_indices(len(kernel))] += hyperparameters.noise + NOISE_FLOOR
        self._lower = np.linalg.cholesky(kernel)
        # The leading block of the Cholesky factor is that of the evaluated candidates, which alone determine the mean.
        block = self._lower[: len(codes), : len(codes)]
        self._alpha = cho_solve((block, True), scores, check_finite=False)

    def _scale(self, embedded: Embedded) -> Embedded:
        roots = np.sqrt(self._hyperparameters.weights)
        return embedded.scaled(roots[self._embedding.feature_of_state], roots[self._embedding.n_categorical :])

    def _kernel(self, one: Embedded, other: Embedded) -> np.ndarray:
        weights, equal = self._hyperparameters.weights, one.states @ other.states.T
        different = np.maximum(weights[: self._embedding.n_categorical].sum() - equal, 0.0)
        squared = different + squared_distances(one.positions, other.positions)
        similar = (equal + one.bases @ other.bases.T) / weights.sum()
        return self._hyperparameters.joint * matern(squared) + self._hyperparameters.additive * similar

    def predict(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations of M x P candidates, without the noise."""
        return self.predict_embedded(self._embedding(codes))

    def predict_embedded(self, embedded: Embedded) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations of M embedded candidates, without the noise."""
        cross = self._kernel(self._known, self._scale(embedded))
        half = solve_triangular(self._lower, cross, lower=True, check_finite=False)
        variance = self._hyperparameters.joint + self._hyperparameters.additive - (half * half).sum(0)
        return self._alpha @ cross[: len(self._alpha)], np.sqrt(np.maximum(variance, 1e-12))
