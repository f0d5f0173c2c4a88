"""A sampler that models the score over whatever space the trials reveal, and mutates where improvement is expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial
from scipy.special import log_ndtr, ndtr

from nas.samplers.embedding import Embedded, Embedding
from nas.samplers.gaussian_process import Hyper, Process, learn
from nas.samplers.priors import Priors
from nas.samplers.proposing import ProposingSampler
from nas.samplers.scores import gaussian_ranks, robust_scores
from nas.samplers.study_view import View

__all__ = ["SurrogateSampler"]

START = 5
"""Scored trials before the model is asked."""

ELITE, MUTANTS, DRAWN = 10, 500, 200
"""Best trials that are mutated, their mutants, and draws."""

ROUNDS, PROMISING, REFINED = 3, 5, 200
"""Further rounds, in each of which so many of the most promising are mutated, into so many."""

CHANGES = (1, 1, 1, 2, 2, 3)
"""How many genes a mutation changes, each as likely as the others."""

LEARN, KEEP = 150, 400
"""Trials that hyper-parameters are learnt from, and that predictions are made from."""

FAITH = 10.0
"""How strongly a prior weighs: as its density to the power of this, over the number of scored trials."""

RISKY = 0.5
"""A candidate whose chance to succeed is less than this share of the success so far comes after all others."""

BEHIND = -1e9
"""The logarithm of a worth below any other's."""

Scored = Callable[[View, np.ndarray], np.ndarray]
"""The scores that a process learns from, of some of a view's trials."""

Worth = Callable[[np.ndarray], np.ndarray]
"""A number for each of M x P candidates."""

Estimate = Callable[[Embedded], np.ndarray]
"""The same of M embedded candidates."""


class SurrogateSampler(ProposingSampler):
    """Bayesian optimization by a Gaussian process on the parameters by name, in any space, conditional or not.

    Nothing is known of the space beforehand: which parameters there are, and when they are reached, is learnt
    from the trials. Scores are replaced by the normal quantiles of their ranks; among real numbers, where all trials
    were trained in full, they are scaled and cut off below. Mutants of the best trials and draws are compared, and
    mutants of the most promising of those; the one of the largest expected improvement (Jones et al. 1998), times
    the chance that it does not fail, is proposed, one that is far likelier to fail than the trials so far only when
    there is no other. Running trials count as seen, with the score that is expected of them.

    A pruned trial ranks below those trained in full, by what it would have reached had it gained as much as
    they did from the step at which it was stopped.

    Several objectives are weighed in one of eight ways, each ask in another (Knowles 2006), by their ranks.

    Args:
        seed: of every random number; drawn when None.
        priors: by parameter name, values believed to be best. The first candidates lean on them; the expected
            improvement is multiplied by their density, to a power that falls with the number of scored trials
            (Hvarfner et al. 2022), so that a wrong belief is forgotten.
    """

    def __init__(self, seed: int | None = None, priors: Mapping[str, Any] | None = None) -> None:
        super().__init__(seed)
        self._priors = Priors(priors or {})
        self._learnt: dict[str, tuple[tuple[object, ...] | None, Hyper | None]] = {}

    def propose(self, view: View) -> np.ndarray | None:
        embedding = Embedding(view.columns, view.rules.conditional)
        chance = self._chance(view, embedding)
        if len(view.scored) < START:
            leant = self._priors.lean(view.drawn(DRAWN), view.names, view.columns, view.rng)
            pool = view.unseen(view.complete(leant))[:ELITE]
            return pool[np.argmax(chance(embedding(pool)))] if len(pool) else None
        improvement, faith = self._improvement(view, embedding), FAITH / len(view.scored)
        least = RISKY * len(view.scored) / (len(view.scored) + len(view.failed))

        def worth(codes: np.ndarray) -> np.ndarray:
            believed = self._priors.log_density(codes, view.names, view.columns)
            embedded = embedding(codes)
            likely = chance(embedded)
            # Once the best of what succeeds is found, only what fails promises more: without this it is asked for.
            last = np.where(likely < least, BEHIND, 0.0)
            return improvement(embedded) + np.log(likely) + faith * believed + last

        return _most(worth, view)

    def draw(self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
        believed = self._priors.draw(self._seed, trial, name, distribution)
        return super().draw(study, trial, name, distribution) if believed is None else believed

    def _improvement(self, view: View, embedding: Embedding) -> Estimate:
        """The logarithm of the expected improvement on the best score seen."""
        hyper = self._hyper(f"score {view.direction}", view, embedding, view.scored, _scores)
        scores = _scores(view, view.scored) if view.real else view.scores
        keep = view.subset(scores, KEEP)
        process = Process(embedding, hyper, view.codes[view.scored[keep]], scores[keep], view.running)
        best = scores.max()

        def estimate(embedded: Embedded) -> np.ndarray:
            mean, deviation = process.at(embedded)
            return _log_improvement((mean - best) / deviation) + np.log(deviation)

        return estimate

    def _chance(self, view: View, embedding: Embedding) -> Estimate:
        """The chance not to fail, by a process on success and failure as scores."""
        rows = np.sort(np.concatenate([view.scored, view.failed]))
        if not len(view.failed) or not len(view.scored):
            return lambda embedded: np.ones(len(embedded.states))
        scores, centre, spread = _outcomes(view, rows)
        hyper = self._hyper("chance", view, embedding, rows, lambda view, rows: _outcomes(view, rows)[0])
        keep = view.subset(np.zeros(len(rows)), KEEP)
        process = Process(embedding, hyper, view.codes[rows[keep]], scores[keep], view.running[:0])

        def estimate(embedded: Embedded) -> np.ndarray:
            mean, deviation = process.at(embedded)
            return np.maximum(ndtr((mean + centre / spread) / np.sqrt(deviation**2 + hyper.noise)), 1e-6)

        return estimate

    def _hyper(self, what: str, view: View, embedding: Embedding, rows: np.ndarray, scored: Scored) -> Hyper:
        """Hyper-parameters learnt from the first of the rows: anew for every so many, as learning takes long."""
        size = len(rows) - len(rows) % max(2 ** int(np.log2(max(len(rows), 1)) - 3), 1)
        rows = rows[:size]
        numbers = [view.trials[i].number for i in rows]
        key = (view.study, embedding.features, [column.distribution for column in view.columns], numbers)
        known, hyper = self._learnt.get(what, (None, None))
        if hyper is None or known != key:
            scores = scored(view, rows)
            keep = view.subset(scores, LEARN)
            hyper = learn(embedding.pairs(view.codes[rows[keep]]), scores[keep])
            self._learnt[what] = key, hyper
        return hyper


def _scores(view: View, rows: np.ndarray) -> np.ndarray:
    return (robust_scores if view.real else gaussian_ranks)(view.fitness[rows])


def _outcomes(view: View, rows: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Success as 1 and failure as -1, standardised; their mean and deviation."""
    label = np.where(np.isnan(view.fitness[rows, 0]), -1.0, 1.0)
    centre, spread = float(label.mean()), float(label.std()) or 1.0
    return (label - centre) / spread, centre, spread


def _most(worth: Worth, view: View) -> np.ndarray | None:
    """The candidate worth most, among those not seen; None when there is none."""
    elite = view.best(ELITE)
    pool = view.unseen(np.concatenate([view.mutants(elite, MUTANTS, CHANGES), view.drawn(DRAWN)]))
    if not len(pool):
        return None
    value = worth(pool)
    for _ in range(ROUNDS):
        promising = pool[np.argsort(-value, kind="stable")[:PROMISING]]
        more = view.unseen(view.mutants(promising, REFINED, CHANGES))
        if len(more):
            pool, value = np.concatenate([pool, more]), np.concatenate([value, worth(more)])
    return pool[np.argmax(value)]


def _log_improvement(z: np.ndarray) -> np.ndarray:
    """log(phi(z) + z Phi(z)), by its asymptote where the sum vanishes (Ament et al. 2023)."""
    density = -0.5 * z * z - 0.5 * np.log(2 * np.pi)
    safe = np.maximum(z, -6.0)
    near = np.log(np.exp(-0.5 * safe * safe) / np.sqrt(2 * np.pi) + safe * np.exp(log_ndtr(safe)))
    return np.where(z > -6.0, near, density - 2.0 * np.log(np.maximum(-z, 1.0)))
