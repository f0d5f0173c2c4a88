"""Which candidate that was stopped early goes on after all."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from nas.search import trials
from nas.search.stopping import StoppingRule, promoted

__all__ = ["promotable"]


def promotable(
    study: optuna.Study, rule: StoppingRule, kept: Callable[[str], Path], busy: Collection[str]
) -> FrozenTrial | None:
    """The stopped trial that passes its rung by now, see `promoted`.

    Args:
        kept: where the training of a candidate is kept, by hash; without it nothing can go on.
        busy: hashes of what is being trained.
    """
    stopped = {
        trials.first_number(trial): trial
        for digest, trial in trials.by_hash(study).items()
        if trials.outcome(trial) == "pruned" and digest not in busy and kept(digest).exists()
    }
    number = promoted(rule, {number: max(trials.rungs(trial).items()) for number, trial in stopped.items()})
    return None if number is None else stopped[number]
