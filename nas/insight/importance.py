"""Importance of the parameters of a study, from a Gaussian process fitted to its trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna

from nas.errors import UserError
from nas.insight.effects import Effect, Importance, Interaction
from nas.insight.variance import Decomposition, Levels, functional_anova, interaction_table
from nas.record import TrialRecord
from nas.samplers.archive import Archive
from nas.samplers.embedding import Embedding
from nas.samplers.gaussian_process import (
    MAX_FIT_TRIALS,
    MAX_POSTERIOR_TRIALS,
    GaussianProcess,
    fit_hyperparameters,
)
from nas.samplers.study_view import StudyView

__all__ = ["importance"]

MIN_TRIALS = 20
"""Minimum number of scored trials."""

SAMPLES = 3000
"""Random candidates on which the model's variance is decomposed."""

FOLDS = 5
"""Folds of the cross-validation."""

MIN_SHARE = 0.01
"""Minimum share of the variance of a parameter or a pair to be listed."""


def importance(study: optuna.Study) -> Importance:
    """Compute how much of the variance of the score each parameter explains, conditional parameters included.

    A Gaussian process, the model of the surrogate sampler, is fitted to the ranks of the scores; pruned trials rank
    below complete ones. The variance of its predictions over random candidates is decomposed, see
    `nas.insight.variance`. Cross-validation measures how much of the variance among trials the model explains.
    Standard errors show how much the result depends on the particular trials.

    Raises:
        UserError: if the study has several objectives.
    """
    if len(study.directions) != 1:
        raise UserError(f"study {study.study_name} has several objectives: importance needs exactly one objective")
    view = _view(study)
    count = len(view.scored)
    if count < MIN_TRIALS:
        return Importance(None, count, reason=f"{count} scored trials are too few, {MIN_TRIALS} are needed")
    embedding = Embedding(view.columns, view.conditions.conditional)
    explained, fold_models = _cross_validate(view, embedding) if embedding.n_features else (0.0, [])
    # Significance at about 2.5 %: the square of a correlation of two standard errors.
    if explained <= 4.0 / count:
        reason = f"a model of {count} scored trials predicts unseen ones no better than chance"
        return Importance(explained, count, reason=reason)
    candidates = view.sample(SAMPLES)
    levels = [Levels(candidates[:, p], column) for p, column in enumerate(view.columns)]
    models = [_fit(view, embedding, np.arange(count)), *fold_models]
    parts = [functional_anova(model.predict(candidates)[0], levels, MIN_SHARE / 2) for model in models]
    explanation = _Explanation(view.names, levels, parts)
    effects = [explanation.effect(int(p)) for p in np.flatnonzero(parts[0].shares >= MIN_SHARE)]
    pairs = [explanation.interaction(int(p), int(q)) for p, q in np.argwhere(parts[0].pairs >= MIN_SHARE)]
    return Importance(
        explained,
        count,
        tuple(sorted(effects, key=lambda effect: -effect.share)),
        tuple(sorted(pairs, key=lambda pair: -pair.share)),
    )


def _view(study: optuna.Study) -> StudyView:
    """Return the study as the surrogate sees it, without duplicates."""
    archive = Archive(study)
    archive.update(study)
    view = StudyView(archive, np.zeros((0, len(archive.names))), seed=0, number=0)
    new = [TrialRecord.of(view.trials[i]).outcome != "duplicate" for i in view.scored]
    view.scored, view.scores = view.scored[new], view.scores[new]
    return view


def _cross_validate(view: StudyView, embedding: Embedding) -> tuple[float, list[GaussianProcess]]:
    """Return the R2 of cross-validated predictions, and the model of each fold.

    All trials of a candidate are in the same fold. Hyperparameters are fitted per fold: with those of all trials, even
    noise seems predictable.
    """
    _, candidate = np.unique(view.codes[view.scored], axis=0, return_inverse=True)
    folds = (np.random.default_rng(0).permutation(candidate.max() + 1) % FOLDS)[candidate.ravel()]
    predicted, models = np.zeros(len(folds)), []
    for held_out in (folds == fold for fold in range(FOLDS)):
        if held_out.any() and not held_out.all():
            models.append(_fit(view, embedding, np.flatnonzero(~held_out)))
            predicted[held_out] = models[-1].predict(view.codes[view.scored[held_out]])[0]
    total = ((view.scores - view.scores.mean()) ** 2).sum()
    explained = float(1.0 - ((view.scores - predicted) ** 2).sum() / total) if total > 0 else 0.0
    return explained, models


def _fit(view: StudyView, embedding: Embedding, rows: np.ndarray) -> GaussianProcess:
    """Fit a model to some of the scored trials, or to a subset if there are many."""
    codes, scores = view.codes[view.scored[rows]], view.scores[rows]
    fit, posterior = view.subset(scores, MAX_FIT_TRIALS), view.subset(scores, MAX_POSTERIOR_TRIALS)
    hyperparameters = fit_hyperparameters(embedding.pairwise(codes[fit]), scores[fit])
    return GaussianProcess(embedding, hyperparameters, codes[posterior], scores[posterior], codes[:0])


@dataclass(frozen=True)
class _Explanation:
    """Effects and interactions in words and numbers.

    Attributes:
        names, levels: names and levels of P parameters.
        parts: decompositions of the model of all trials, then of the model of each fold.
    """

    names: Sequence[str]
    levels: Sequence[Levels]
    parts: list[Decomposition]

    def effect(self, p: int) -> Effect:
        """Describe the main effect of a parameter."""
        index, best = self.levels[p].index, int(self.parts[0].effects[p].argmax())
        share_of_others = 1.0 - float((index[index >= 0] == best).mean())
        share = _with_error([parts.shares[p] for parts in self.parts])
        gain = _with_error([parts.effects[p][best] / share_of_others for parts in self.parts])
        return Effect(self.names[p], *share, self.levels[p].names[best], *gain)

    def interaction(self, p: int, q: int) -> Interaction:
        """Describe an interaction: the value whose gain varies most, where it is largest and where smallest."""
        levels, names = self.levels, self.names
        # The parameter with fewer levels is the subject: "Jigsaw helps with norm=group", not the other way round.
        one, other = (p, q) if len(levels[p].names) < len(levels[q].names) else (q, p)
        table = interaction_table(self.parts[0], levels, one, other)
        known = ~np.isnan(table)
        spread = np.where(known, table, -np.inf).max(1) - np.where(known, table, np.inf).min(1)
        subjects = [i for i, name in enumerate(levels[one].names) if name != "off"]
        value = max(subjects, key=lambda i: float(spread[i]))
        most, least = int(np.nanargmax(table[value])), int(np.nanargmin(table[value]))
        high, low = (f"{names[other]}={levels[other].names[i]} ({table[value, i]:+.2f})" for i in (most, least))
        predicate = _predicate(high, float(table[value, most]), low, float(table[value, least]))
        sentence = f"{names[one]}={levels[one].names[value]} {predicate}"
        share = _with_error([parts.pairs[p, q] for parts in self.parts])
        return Interaction(names[one], names[other], *share, sentence)


def _with_error(estimates: Sequence[float]) -> tuple[float, float]:
    """Return an estimate with its standard error, by the grouped jackknife (Efron & Tibshirani 1993, eq. 11.5).

    Args:
        estimates: the estimate from all trials, then those without each fold.
    """
    whole, without = float(estimates[0]), np.array(estimates[1:], dtype=float)
    return whole, float(np.sqrt((len(without) - 1) * without.var()))


def _predicate(high: str, most: float, low: str, least: float) -> str:
    """Say in words where a value helps most and where least."""
    if most <= 0:
        return f"hurts less with {high} than with {low}"
    if least > 0.25 * most:
        return f"helps more with {high} than with {low}"
    return f"helps with {high} but {'hurts' if least < -0.25 * most else 'not'} with {low}"
