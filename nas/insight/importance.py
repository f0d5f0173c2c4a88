"""What mattered in a study: how much of the score's variance each parameter explains, alone and in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna

from nas.errors import UserError
from nas.insight.effects import Effect, Importance, Interaction
from nas.insight.variance import Levels, Split, pair_table, split
from nas.record import TrialRecord
from nas.samplers.archive import Archive
from nas.samplers.embedding import Embedding
from nas.samplers.gaussian_process import Process, learn
from nas.samplers.study_view import View

__all__ = ["importance"]

ENOUGH = 20
"""Scored trials under which nothing is said."""

DRAWS = 3000
"""Candidates on which the model is looked at."""

LEARN, KEEP, FOLDS = 150, 400, 5
"""Trials that hyper-parameters are learnt from, and that predictions are made from; parts held out in turn."""

LEAST = 0.01
"""Share of the variance from which a parameter or a pair is worth a line."""


def importance(study: optuna.Study) -> Importance:
    """How much of the variance of the score each parameter of a study explains, conditional ones included.

    The surrogate's model is fitted to the trials: to the ranks of their scores, a pruned trial counting as worse
    than those trained in full. The variance of its predictions over candidates drawn evenly from the space is
    split (see `nas.insight.variance`). How much of the variance the model explains is measured on trials it has
    not seen, its hyper-parameters learnt anew without them: those learnt from all trials seem to predict noise.
    Standard errors tell how far all this depends on which trials there happen to be.

    Raises:
        UserError: when the study has several objectives.
    """
    if len(study.directions) != 1:
        raise UserError(f"study {study.study_name}: importance is that of one objective, and it has several")
    view = _view(study)
    count = len(view.scored)
    if count < ENOUGH:
        return Importance(None, count, reason=f"{count} scored trials are too few, {ENOUGH} are needed")
    embedding = Embedding(view.columns, view.rules.conditional)
    explained, others = _held_out(view, embedding) if embedding.count else (0.0, [])
    # The square of a correlation of two standard errors, which chance exceeds once in forty times.
    if explained <= 4.0 / count:
        reason = f"a model of {count} scored trials predicts unseen ones no better than chance"
        return Importance(explained, count, reason=reason)
    drawn = view.drawn(DRAWS)
    levels = [Levels(drawn[:, p], column) for p, column in enumerate(view.columns)]
    models = [_fitted(view, embedding, np.arange(count)), *others]
    told = _Told(view.names, levels, [split(model(drawn)[0], levels, LEAST / 2) for model in models])
    parts = told.parts[0]
    effects = [told.effect(int(p)) for p in np.flatnonzero(parts.shares >= LEAST)]
    pairs = [told.interaction(int(p), int(q)) for p, q in np.argwhere(parts.pairs >= LEAST)]
    return Importance(
        explained,
        count,
        tuple(sorted(effects, key=lambda effect: -effect.share)),
        tuple(sorted(pairs, key=lambda pair: -pair.share)),
    )


def _view(study: optuna.Study) -> View:
    """The study as the surrogate sees it, without the answers that our search gave from memory."""
    archive = Archive(study)
    archive.update(study)
    view = View(archive, np.zeros((0, len(archive.names))), seed=0, number=0)
    new = [TrialRecord.of(view.trials[i]).outcome != "duplicate" for i in view.scored]
    view.scored, view.scores = view.scored[new], view.scores[new]
    return view


def _held_out(view: View, embedding: Embedding) -> tuple[float, list[Process]]:
    """R2 of predictions for trials left out, a part at a time, and the processes that do without a part.

    Trials of one candidate are left out together. Hyper-parameters are learnt anew for each part: those learnt
    from all trials seem to predict even noise.
    """
    _, candidate = np.unique(view.codes[view.scored], axis=0, return_inverse=True)
    part = (np.random.default_rng(0).permutation(candidate.max() + 1) % FOLDS)[candidate.ravel()]
    predicted, processes = np.zeros(len(part)), []
    for left_out in (part == fold for fold in range(FOLDS)):
        if left_out.any() and not left_out.all():
            processes.append(_fitted(view, embedding, np.flatnonzero(~left_out)))
            predicted[left_out] = processes[-1](view.codes[view.scored[left_out]])[0]
    spread = ((view.scores - view.scores.mean()) ** 2).sum()
    explained = float(1.0 - ((view.scores - predicted) ** 2).sum() / spread) if spread > 0 else 0.0
    return explained, processes


def _fitted(view: View, embedding: Embedding, rows: np.ndarray) -> Process:
    """The process given some of the scored trials, the most telling where there are many."""
    codes, scores = view.codes[view.scored[rows]], view.scores[rows]
    some, keep = view.subset(scores, LEARN), view.subset(scores, KEEP)
    hyper = learn(embedding.pairs(codes[some]), scores[some])
    return Process(embedding, hyper, codes[keep], scores[keep], codes[:0])


@dataclass(frozen=True)
class _Told:
    """What the model says in words and numbers: `parts` by all trials, and then by all but each part of them."""

    names: Sequence[str]
    levels: Sequence[Levels]
    parts: list[Split]

    def effect(self, p: int) -> Effect:
        of, best = self.levels[p].of, int(self.parts[0].effects[p].argmax())
        others = 1.0 - float((of[of >= 0] == best).mean())
        share = _with_error([parts.shares[p] for parts in self.parts])
        gain = _with_error([parts.effects[p][best] / others for parts in self.parts])
        return Effect(self.names[p], *share, self.levels[p].names[best], *gain)

    def interaction(self, p: int, q: int) -> Interaction:
        """The pair in a sentence: the value whose worth varies most, where it is worth most and where least."""
        levels, names = self.levels, self.names
        # A switch is spoken of, and a choice says where: "Jigsaw helps with norm=group", not the other way round.
        one, other = (p, q) if len(levels[p].names) < len(levels[q].names) else (q, p)
        table = pair_table(self.parts[0], levels, one, other)
        known = ~np.isnan(table)
        spread = np.where(known, table, -np.inf).max(1) - np.where(known, table, np.inf).min(1)
        told = [i for i, name in enumerate(levels[one].names) if name != "off"]
        value = max(told, key=lambda i: float(spread[i]))
        most, least = int(np.nanargmax(table[value])), int(np.nanargmin(table[value]))
        high, low = (f"{names[other]}={levels[other].names[i]} ({table[value, i]:+.2f})" for i in (most, least))
        how = _helps(high, float(table[value, most]), low, float(table[value, least]))
        sentence = f"{names[one]}={levels[one].names[value]} {how}"
        share = _with_error([parts.pairs[p, q] for parts in self.parts])
        return Interaction(names[one], names[other], *share, sentence)


def _with_error(found: Sequence[float]) -> tuple[float, float]:
    """The first number with its standard error: the others are the same without each part of the trials.

    The jackknife by groups (Efron & Tibshirani 1993, eq. 11.5).
    """
    whole, without = float(found[0]), np.array(found[1:], dtype=float)
    return whole, float(np.sqrt((len(without) - 1) * without.var()))


def _helps(high: str, most: float, low: str, least: float) -> str:
    """Where something helps and where it does not, in words."""
    if most <= 0:
        return f"hurts less with {high} than with {low}"
    if least > 0.25 * most:
        return f"helps more with {high} than with {low}"
    return f"helps with {high} and {'hurts' if least < -0.25 * most else 'not'} with {low}"
