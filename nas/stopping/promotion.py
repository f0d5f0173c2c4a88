"""Asynchronous successive halving that takes stopped candidates up again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import optuna

from nas.record import TrialRecord, by_hash
from nas.stopping.halving import AsyncHalving
from nas.stopping.rule import StoppingRule

__all__ = ["Promotion", "promotable", "promoted"]


def promoted(rule: StoppingRule, stopped: Mapping[int, tuple[int, float]]) -> int | None:
    """The stopped candidate that passes by now: that of the highest rung, and there of the best score.

    Args:
        stopped: rung and score there, by the number that the rule knows a candidate by.
    """
    best_first = sorted(stopped.items(), key=lambda item: item[1], reverse=True)
    return next((number for number, (rung, score) in best_first if rule.passes(number, rung, score)), None)


class Promotion(AsyncHalving):
    """Halving in which nobody is stopped for good (ASHA as published, Li et al. 2020, algorithm 2).

    As more candidates are seen, more make up the best 1 / eta at a rung: those that by now belong to them train on
    from where they were stopped, before a new candidate is begun. All that ever reached the rung are compared: by
    the latest ones alone, a few poor ones in a row would promote whoever was stopped before.
    """

    promotes = True

    def compared(self, rung: int) -> list[float]:
        return list(self.seen[rung].values())


def promotable(
    study: optuna.Study, rule: StoppingRule, kept: Callable[[str], Path], busy: Collection[str]
) -> TrialRecord | None:
    """The stopped trial that passes its rung by now, see `promoted`.

    Args:
        kept: where the training of a candidate is kept, by hash; without it nothing can go on.
        busy: hashes of what is being trained.
    """
    stopped = {
        record.first_number: record
        for digest, record in by_hash(study).items()
        if record.outcome == "pruned" and digest not in busy and kept(digest).exists()
    }
    number = promoted(rule, {number: max(record.rungs.items()) for number, record in stopped.items()})
    return None if number is None else stopped[number]
