"""Bayesian optimization with a Gaussian process, in any conditional search space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial
from scipy.special import log_ndtr, ndtr

from nas.samplers.embedding import Embedded, Embedding
from nas.samplers.gaussian_process import (
    MAX_FIT_TRIALS,
    MAX_POSTERIOR_TRIALS,
    GaussianProcess,
    Hyperparameters,
    fit_hyperparameters,
)
from nas.samplers.priors import Priors
from nas.samplers.proposing import ProposingSampler
from nas.samplers.scores import gaussian_ranks, robust_scores
from nas.samplers.study_view import StudyView

__all__ = ["SurrogateSampler"]

STARTUP_TRIALS = 5
"""Number of scored trials before the model is used."""

ELITE, MUTANTS, RANDOM_CANDIDATES = 10, 500, 200
"""Number of best trials to mutate, of their mutants, and of random candidates."""

ROUNDS, PROMISING, REFINED = 3, 5, 200
"""Number of refinement rounds, of the most promising candidates to mutate in each, and of their mutants."""

CHANGES = (1, 1, 1, 2, 2, 3)
"""Numbers of parameters that a mutation changes, equally likely."""

PRIOR_WEIGHT = 10.0
"""Weight of the user's priors: the exponent of their density is this, divided by the number of scored trials."""

MIN_RELATIVE_SUCCESS = 0.5
"""Minimum probability of success, relative to the success rate so far. Candidates below it are a last resort."""

LAST_RESORT = -1e9
"""Added to the log acquisition value of candidates that are a last resort."""

TrialScores = Callable[[StudyView, np.ndarray], np.ndarray]
"""Function from a view and indices of its trials to the scores that a process is fitted to."""

Acquisition = Callable[[np.ndarray], np.ndarray]
"""Function from M x P candidates to M acquisition values."""

EmbeddedAcquisition = Callable[[Embedded], np.ndarray]
"""Function from M embedded candidates to M values."""


class SurrogateSampler(ProposingSampler):
    """Sampler using Bayesian optimization with a Gaussian process, for conditional and unconditional spaces.

    The search space need not be known beforehand: parameters and their conditions are learned from the trials. Scores
    are transformed to the normal quantiles of their ranks; if there are continuous parameters and all trials are
    complete, they are standardized and clipped instead.

    A proposal has the largest expected improvement (Jones et al. 1998), times the probability of success, among
    mutants of the best trials, random candidates, and mutants of the most promising of these. Candidates that are much
    more likely to fail than the trials so far are proposed only if there is no other. Running trials count as evaluated
    with their expected score.

    A pruned trial ranks below all complete trials, by its expected final score, see `extrapolate_pruned`. Several
    objectives are combined by one of eight weight vectors, which proposals use in turn (Knowles 2006).

    Args:
        seed: seed of all random numbers; None for a random one.
        priors: values expected to be best, by parameter name. They guide the first candidates. Later, their density is
            a factor of the expected improvement, with an exponent that falls with the number of scored trials (Hvarfner
            et al. 2022), so that the search recovers from wrong priors.
    """

    def __init__(self, seed: int | None = None, priors: Mapping[str, Any] | None = None) -> None:
        super().__init__(seed)
        self._priors = Priors(priors or {})
        self._fitted: dict[str, tuple[tuple[object, ...] | None, Hyperparameters | None]] = {}

    def propose(self, view: StudyView) -> np.ndarray | None:
        embedding = Embedding(view.columns, view.conditions.conditional)
        success = self._success_probability(view, embedding)
        if len(view.scored) < STARTUP_TRIALS:
            candidates = self._priors.apply(view.sample(RANDOM_CANDIDATES), view.names, view.columns, view.rng)
            pool = view.unseen(view.complete(candidates))[:ELITE]
            return pool[np.argmax(success(embedding(pool)))] if len(pool) else None
        improvement, prior_exponent = self._improvement(view, embedding), PRIOR_WEIGHT / len(view.scored)
        min_success = MIN_RELATIVE_SUCCESS * len(view.scored) / (len(view.scored) + len(view.failed))

        def acquisition(codes: np.ndarray) -> np.ndarray:
            log_prior = self._priors.log_density(codes, view.names, view.columns)
            embedded = embedding(codes)
            probability = success(embedded)
            # Once the best successful candidate is found, only failing ones promise an improvement.
            penalty = np.where(probability < min_success, LAST_RESORT, 0.0)
            return improvement(embedded) + np.log(probability) + prior_exponent * log_prior + penalty

        return _maximize(acquisition, view)

    def sample_missing(self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
        value = self._priors.sample(self._seed, trial, name, distribution)
        return super().sample_missing(study, trial, name, distribution) if value is None else value

    def _improvement(self, view: StudyView, embedding: Embedding) -> EmbeddedAcquisition:
        """Return the log expected improvement over the best score."""
        hyperparameters = self._hyperparameters(f"score {view.weighting}", view, embedding, view.scored, _scores)
        scores = _scores(view, view.scored) if view.continuous else view.scores
        rows = view.subset(scores, MAX_POSTERIOR_TRIALS)
        process = GaussianProcess(embedding, hyperparameters, view.codes[view.scored[rows]], scores[rows], view.running)
        best = scores.max()

        def improvement(embedded: Embedded) -> np.ndarray:
            mean, deviation = process.predict_embedded(embedded)
            return _log_expected_improvement((mean - best) / deviation) + np.log(deviation)

        return improvement

    def _success_probability(self, view: StudyView, embedding: Embedding) -> EmbeddedAcquisition:
        """Return the probability of success, by a process with success and failure as scores."""
        trials = np.sort(np.concatenate([view.scored, view.failed]))
        if not len(view.failed) or not len(view.scored):
            return lambda embedded: np.ones(len(embedded.states))
        scores, mean_outcome, spread = _outcomes(view, trials)
        hyperparameters = self._hyperparameters(
            "success", view, embedding, trials, lambda view, rows: _outcomes(view, rows)[0]
        )
        rows = view.subset(np.zeros(len(trials)), MAX_POSTERIOR_TRIALS)
        process = GaussianProcess(embedding, hyperparameters, view.codes[trials[rows]], scores[rows], view.running[:0])

        def probability(embedded: Embedded) -> np.ndarray:
            mean, deviation = process.predict_embedded(embedded)
            z = (mean + mean_outcome / spread) / np.sqrt(deviation**2 + hyperparameters.noise)
            return np.maximum(ndtr(z), 1e-6)

        return probability

    def _hyperparameters(
        self, what: str, view: StudyView, embedding: Embedding, rows: np.ndarray, scores_of: TrialScores
    ) -> Hyperparameters:
        """Fit hyperparameters, and refit them once the number of rows has grown by about a tenth: fitting is slow."""
        size = len(rows) - len(rows) % max(2 ** int(np.log2(max(len(rows), 1)) - 3), 1)
        rows = rows[:size]
        numbers = [view.trials[i].number for i in rows]
        key = (view.study, embedding.features, [column.distribution for column in view.columns], numbers)
        known, hyperparameters = self._fitted.get(what, (None, None))
        if hyperparameters is None or known != key:
            scores = scores_of(view, rows)
            subset = view.subset(scores, MAX_FIT_TRIALS)
            hyperparameters = fit_hyperparameters(embedding.pairwise(view.codes[rows[subset]]), scores[subset])
            self._fitted[what] = key, hyperparameters
        return hyperparameters


def _scores(view: StudyView, rows: np.ndarray) -> np.ndarray:
    return (robust_scores if view.continuous else gaussian_ranks)(view.fitness[rows])


def _outcomes(view: StudyView, rows: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return success (1) and failure (-1), standardized, with their mean and standard deviation."""
    outcome = np.where(np.isnan(view.fitness[rows, 0]), -1.0, 1.0)
    mean, spread = float(outcome.mean()), float(outcome.std()) or 1.0
    return (outcome - mean) / spread, mean, spread


def _maximize(acquisition: Acquisition, view: StudyView) -> np.ndarray | None:
    """Return the unseen candidate with the largest acquisition value, or None if there is none."""
    elite = view.best(ELITE)
    pool = view.unseen(np.concatenate([view.mutate(elite, MUTANTS, CHANGES), view.sample(RANDOM_CANDIDATES)]))
    if not len(pool):
        return None
    values = acquisition(pool)
    for _ in range(ROUNDS):
        promising = pool[np.argsort(-values, kind="stable")[:PROMISING]]
        more = view.unseen(view.mutate(promising, REFINED, CHANGES))
        if len(more):
            pool, values = np.concatenate([pool, more]), np.concatenate([values, acquisition(more)])
    return pool[np.argmax(values)]


def _log_expected_improvement(z: np.ndarray) -> np.ndarray:
    """Return log(phi(z) + z Phi(z)), by its asymptote where the sum underflows (Ament et al. 2023)."""
    log_density = -0.5 * z * z - 0.5 * np.log(2 * np.pi)
    safe = np.maximum(z, -6.0)
    near = np.log(np.exp(-0.5 * safe * safe) / np.sqrt(2 * np.pi) + safe * np.exp(log_ndtr(safe)))
    return np.where(z > -6.0, near, log_density - 2.0 * np.log(np.maximum(-z, 1.0)))
