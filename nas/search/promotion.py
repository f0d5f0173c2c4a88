"""Which candidate that was stopped early goes on after all."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from nas.search import trials
from nas.search.stopping import StoppingRule

__all__ = ["promotable"]


def promotable(
    study: optuna.Study, rule: StoppingRule, kept: Callable[[str], Path], busy: Collection[str]
) -> FrozenTrial | None:
    """The stopped trial that passes its rung by now: that of the highest rung, and there of the best score.

    Args:
        kept: where the training of a candidate is kept, by hash; without it nothing can go on.
        busy: hashes of what is being trained.
    """
    stopped = []
    for digest, trial in trials.by_hash(study).items():
        if trials.outcome(trial) == "pruned" and digest not in busy:
            reached = trials.rungs(trial)
            stopped.append((max(reached), reached[max(reached)], trial))
    for rung, value, trial in sorted(stopped, key=lambda found: found[:2], reverse=True):
        if rule.passes(trials.first_number(trial), rung, value) and kept(trial.user_attrs["hash"]).exists():
            return trial
    return None
