"""Base class of samplers that propose whole candidates from the trials of the study."""

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
from nas.samplers.independent import (
    IndependentSampler,
    checked_seed,
    contains,
    equal_values,
    sample_uniform,
    study_key,
)
from nas.samplers.study_view import StudyView

__all__ = ["ProposingSampler"]


class ProposingSampler(IndependentSampler):
    """Sampler that proposes a candidate when the first parameter of a trial is suggested.

    Parameters missing from the proposal are sampled uniformly. Enqueued parameters keep their values, and the others
    are proposed for them. If another sampler overrides a proposed value, the remaining ones are proposed anew.

    Random numbers depend only on the seed and the trial's number: a new sampler with the same seed continues a study
    as the old one would.

    Args:
        seed: seed of all random numbers, 0 or more; None for a random one.

    Raises:
        ValueError: if the seed is negative.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = checked_seed(seed)
        self._archive: Archive | None = None
        self._proposed: dict[tuple[str, int], dict[int, dict[str, Any]]] = {}
        """Proposals of unfinished trials, by study and trial number."""
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        # The archive is rebuilt from the study: it may refer to a storage that cannot be pickled.
        return {name: value for name, value in self.__dict__.items() if name != "_lock"} | {"_archive": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    @abstractmethod
    def propose(self, view: StudyView) -> np.ndarray | None:
        """Return a candidate as encoded values of the P parameters, or None to sample it uniformly."""

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        with self._lock:  # Optuna may run trials in threads
            proposed = self._proposed.setdefault(study_key(study), {})
            params = proposed.get(trial.number)
            if params is None or _was_overridden(trial, params):
                params = proposed[trial.number] = self._propose_params(study, trial)
        if param_name in params and contains(param_distribution, params[param_name]):
            return params[param_name]
        return self.sample_missing(study, trial, param_name, param_distribution)

    def sample_missing(self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
        """Sample a parameter that is missing from the proposal."""
        return sample_uniform(self._seed, study, trial, name, distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        with self._lock:
            self._proposed.get(study_key(study), {}).pop(trial.number, None)

    def _propose_params(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        """Propose the parameters that the trial does not have yet."""
        if self._archive is None or not self._archive.belongs_to(study):
            self._archive = Archive(study)
        self._archive.update(study)
        if not self._archive.names:
            return {}
        running = self._archive.encode_running(study, trial, self._proposed[study_key(study)])
        # Optuna's PartialFixedSampler does not pass its fixed values to the sampler that it wraps.
        partly_fixed = getattr(study.sampler, "_fixed_params", {})
        enqueued = trial.system_attrs.get("fixed_params", {})
        fixed = self._archive.encode_fixed({**partly_fixed, **enqueued, **trial.params})
        view = StudyView(self._archive, running, self._seed, trial.number, fixed)
        codes = self.propose(view)
        params = {} if codes is None else view.params(codes)
        return {name: value for name, value in params.items() if name not in trial.params}


def _was_overridden(trial: FrozenTrial, proposed: Mapping[str, Any]) -> bool:
    """Return whether a parameter of the trial has another value than was proposed."""
    shared = [(name, value, trial.params[name]) for name, value in proposed.items() if name in trial.params]
    # Compare directly first, which is faster: most values are equal.
    return any(one != other and not equal_values(trial.distributions[name], one, other) for name, one, other in shared)
