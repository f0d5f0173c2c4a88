"""Asynchronous successive halving that resumes stopped candidates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import optuna

from nas.record import TrialRecord, by_hash
from nas.stopping.halving import AsyncHalving
from nas.stopping.rule import StoppingRule

__all__ = ["Promotion", "next_promotion", "promotable"]


def next_promotion(rule: StoppingRule, stopped: Mapping[int, tuple[int, float]]) -> int | None:
    """Return the stopped candidate to promote: one that passes now, at the highest rung, with the best score there.

    Args:
        rule: the rule that stopped the candidates.
        stopped: last rung and score there, by trial number.

    Returns:
        Its trial number, or None if no stopped candidate passes.
    """
    best_first = sorted(stopped.items(), key=lambda item: item[1], reverse=True)
    return next((number for number, (rung, score) in best_first if rule.passes(number, rung, score)), None)


class Promotion(AsyncHalving):
    """Asynchronous successive halving with promotions (ASHA, Li et al. 2020, algorithm 2).

    As candidates arrive at a rung, the best 1 / eta grows. Stopped candidates that now belong to it are resumed before
    a new candidate starts. A candidate is compared with all others at the rung, not with the latest only: a few poor
    ones in a row would promote any candidate that was stopped before.
    """

    promotes = True

    def competitors(self, rung: int) -> list[float]:
        return list(self.scores[rung].values())


def promotable(
    study: optuna.Study, rule: StoppingRule, kept: Callable[[str], Path], busy: Collection[str]
) -> TrialRecord | None:
    """Return the stopped trial to promote, or None, see `next_promotion`.

    Args:
        study: the study.
        rule: the rule that stopped the trials.
        kept: function from a candidate's hash to the saved state of its training; without it, a trial is skipped.
        busy: hashes of the candidates in training.
    """
    stopped = {
        record.first_number: record
        for digest, record in by_hash(study).items()
        if record.outcome == "pruned" and digest not in busy and kept(digest).exists()
    }
    number = next_promotion(rule, {number: max(record.rungs.items()) for number, record in stopped.items()})
    return None if number is None else stopped[number]
