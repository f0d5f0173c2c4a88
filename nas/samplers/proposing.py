"""The plumbing of samplers that propose whole candidates from what the study holds, and from nothing else."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.samplers.archive import Archive
from nas.samplers.independent import IndependentSampler, checked_seed, drawn, holds, same, study_key
from nas.samplers.study_view import View

__all__ = ["ProposingSampler"]


class ProposingSampler(IndependentSampler):
    """Proposes a candidate when its first parameter is asked for; what the candidate lacks is drawn.

    Parameters that are enqueued with a trial stay as they are, and the rest is chosen for them. One that turns out
    to have another value than was proposed, because something else chose it, has the rest proposed anew.

    The random numbers follow from the seed and the trial's number: a sampler made anew with the same seed goes
    on as the old one would.

    Args:
        seed: of every random number, 0 or more; drawn when None.

    Raises:
        ValueError: when the seed is negative.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = checked_seed(seed)
        self._archive: Archive | None = None
        self._proposed: dict[tuple[str, int], dict[int, dict[str, Any]]] = {}
        """What was proposed to trials that have not ended, by study and number."""
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        # The archive is made anew from the study: it may know a storage that cannot be pickled.
        return {name: value for name, value in self.__dict__.items() if name != "_lock"} | {"_archive": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    @abstractmethod
    def propose(self, view: View) -> np.ndarray | None:
        """The codes of a candidate, or None to have it drawn."""

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        with self._lock:  # Optuna may run trials in threads
            proposed = self._proposed.setdefault(study_key(study), {})
            genes = proposed.get(trial.number)
            if genes is None or _departs(trial, genes):
                genes = proposed[trial.number] = self._genes(study, trial)
        if param_name in genes and holds(param_distribution, genes[param_name]):
            return genes[param_name]
        return self.draw(study, trial, param_name, param_distribution)

    def draw(self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
        """A value for a parameter that no proposal holds."""
        return drawn(self._seed, study, trial, name, distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        with self._lock:
            self._proposed.get(study_key(study), {}).pop(trial.number, None)

    def _genes(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        """The values by name of what is proposed."""
        if self._archive is None or not self._archive.of(study):
            self._archive = Archive(study)
        self._archive.update(study)
        if not self._archive.names:
            return {}
        running = self._archive.running(study, trial, self._proposed[study_key(study)])
        # Optuna's PartialFixedSampler tells the sampler in it nothing of what it fixes.
        around = getattr(study.sampler, "_fixed_params", {})
        fixed = self._archive.fixed({**around, **trial.system_attrs.get("fixed_params", {}), **trial.params})
        view = View(self._archive, running, self._seed, trial.number, fixed)
        found = self.propose(view)
        genes = {} if found is None else view.genes(found)
        return {name: value for name, value in genes.items() if name not in trial.params}


def _departs(trial: FrozenTrial, genes: Mapping[str, Any]) -> bool:
    """Whether a parameter that the trial has by now is not what was proposed."""
    settled = [(name, gene, trial.params[name]) for name, gene in genes.items() if name in trial.params]
    # Most are equal as they are, which is quicker to tell.
    return any(gene != value and not same(trial.distributions[name], gene, value) for name, gene, value in settled)
