"""NNI's tuners as Optuna samplers."""

from __future__ import annotations

import importlib
import json
import logging
import random
import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.errors import UserError
from nas.samplers.independent import (
    IndependentSampler,
    all_trials,
    checked_seed,
    contains,
    equal_values,
    sample_uniform,
    study_key,
)
from nas.samplers.scores import violates_constraints

__all__ = ["TUNERS", "UNSUPPORTED_TUNERS", "NNISampler", "nni_space"]

TUNERS = {
    "tpe": ("tpe_tuner", "TpeTuner"),
    "evolution": ("evolution_tuner", "EvolutionTuner"),
    "random": ("random_tuner", "RandomTuner"),
}
"""Module and class of each supported tuner."""

UNSUPPORTED_TUNERS = {
    "gp": "it passes SciPy a two-dimensional starting point, which SciPy refuses since 1.11",
    "metis": "it passes SciPy a two-dimensional starting point, which SciPy refuses since 1.11",
    "anneal": "NNI's wrapper of hyperopt fails with current NumPy at the first score",
    "smac": "it needs smac4nni, which does not build on Python 3.10 or later",
    "dngo": "it needs pybnn, which is not maintained",
    "gridsearch": "a grid search does not use scores",
    "batch": "it only tries the entries of a list",
    "pbt": "it needs trainings that pass on their weights",
    "ppo": "it learns a policy from batches of trainings",
    "bohb": "it also decides how long to train; use --stopping for that",
    "hyperband": "it decides how long to train; use --stopping hyperband",
    "networkmorphism": "it builds its own networks",
    "regularized_evolution": "it supports NNI's architecture spaces only; use --sampler evolution",
}
"""NNI's other tuners, and why they are not supported."""


NO_VALUES: Mapping[str, Any] = {}

_NO_CHOICE = object()
"""Stands for a choice that the distribution does not contain; None may be a choice."""

_TUNER_LOCK = threading.Lock()
"""Held while a tuner is in use: tuners are not thread-safe and draw from Python's global random state."""


class NNISampler(IndependentSampler):
    """Sampler that asks an NNI tuner for candidates and reports their scores.

    NNI's tuners have to know the search space beforehand. Unless it is given, it consists of the parameters of the
    trials so far; for a new parameter, the tuner is created anew, and the past trials are imported if it supports that
    (tpe). The space is flat: the tuner chooses conditional parameters always, and inactive ones are not used.

    A tuner keeps what it has learned in memory only. When a study is resumed, all proposals and results are replayed.
    Trials whose values differ from the proposal, such as enqueued ones, and trials that violate a constraint are
    reported as failed. A tuner that supports it (tpe) also imports the former with their scores.

    Args:
        tuner: one of TUNERS.
        seed: seed of the tuner, if it has one, and of sampled parameters.
        space: distributions by parameter name, if known.

    Raises:
        UserError: if the tuner is unknown, unsupported or not installed.
        ValueError: if the seed is negative.
    """

    def __init__(self, tuner: str, seed: int = 0, space: Mapping[str, BaseDistribution] | None = None) -> None:
        if tuner not in TUNERS:
            why = UNSUPPORTED_TUNERS.get(tuner, f"unknown tuner; choose from {', '.join(TUNERS)}")
            raise UserError(f"--sampler nni:{tuner}: {why}")
        _tuner_class(tuner)  # fails now if NNI is not installed
        self._name, self._seed = tuner, checked_seed(seed)
        self._space = dict(space or {})
        self._sessions: dict[tuple[str, int], tuple[BaseStorage, _Session]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Sessions are rebuilt from their studies: a storage may not be picklable.
        return self.__dict__ | {"_sessions": {}}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Ask the tuner for the trial's parameters.

        Raises:
            ValueError: if the study has several objectives.
        """
        self._raise_error_if_multi_objective(study)
        with _TUNER_LOCK:
            others = [t for t in all_trials(study) if t.number != trial.number]
            storage, session = self._sessions.get(study_key(study), (None, None))
            if session is None or storage is not study._storage:
                maximise = study.direction == StudyDirection.MAXIMIZE
                session = _Session(self._name, self._seed, self._space, maximise)
                self._sessions[study_key(study)] = study._storage, session
            # Earlier processes and parallel ones may have asked for other trials of the study.
            session.replay(others)
            session.ask(trial.number, [t for t in others if t.state.is_finished()])

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        _, session = self._sessions.get(study_key(study), (None, None))
        proposed = session.proposed.get(trial.number, {}) if session else {}
        if param_name in proposed:
            value = _from_nni(proposed[param_name], param_distribution)
            if contains(param_distribution, value):
                return value
        return sample_uniform(self._seed, study, trial, param_name, param_distribution)


class _Session:
    """Session of a study with a tuner. The proposals depend only on the order of requests and results."""

    def __init__(self, tuner: str, seed: int, space: Mapping[str, BaseDistribution], maximise: bool) -> None:
        self.proposed: dict[int, dict[str, Any]] = {}
        self._asked: set[int] = set()
        self._name, self._seed, self._maximise = tuner, seed, maximise
        self._space = dict(space)
        self._tuner: Any = None
        self._finished: dict[int, FrozenTrial] = {}
        self._random = random.Random(seed)

    def replay(self, trials: Sequence[FrozenTrial]) -> None:
        """Ask for the trials that this session has not asked for yet, in the order in which they started.

        Before each request, report the trials that had finished by then.
        """
        started = [t for t in trials if t.datetime_start and t.number not in self._asked]
        # A trial that was added to the study rather than asked for has no duration.
        new = [t for t in started if t.datetime_start != t.datetime_complete]
        if not new:
            return
        finished = sorted((t for t in trials if t.datetime_complete), key=_completed)
        reported = 0
        for trial in sorted(new, key=_started):
            by_then = bisect_right(finished, _started(trial), key=_completed)
            self.ask(trial.number, finished[reported:by_then])
            reported = by_then

    def ask(self, number: int, finished: Sequence[FrozenTrial]) -> None:
        """Report the newly finished trials and ask the tuner for the parameters of a trial.

        Do nothing if another thread has already asked for this trial.
        """
        if number in self._asked:
            return
        self._asked.add(number)
        new = sorted((t for t in finished if t.number not in self._finished), key=_completed)
        known = self._space | {n: d for t in new for n, d in t.distributions.items() if n not in self._space}
        with _global_random_state(self._random), _without_log():
            for trial in new:
                self._finished[trial.number] = trial
                self._report(trial)
            if known and (known != self._space or self._tuner is None):
                self._space = known
                self._tuner = self._new_tuner()
                if self._name == "tpe":
                    self._import([t for t in self._finished.values() if _is_valid(t)])
            if self._tuner is not None:
                self.proposed[number] = self._generate(number)

    def _report(self, trial: FrozenTrial) -> None:
        """Report the result of a finished trial to the tuner."""
        proposed = self.proposed.pop(trial.number, None)
        if not proposed:
            return
        valid = _is_valid(trial)
        shared = {n: d for n, d in trial.distributions.items() if n in proposed}
        as_proposed = all(equal_values(d, _from_nni(proposed[n], d), trial.params[n]) for n, d in shared.items())
        if valid and shared and as_proposed:
            self._tuner.receive_trial_result(trial.number, proposed, trial.value)
            self._tuner.trial_end(trial.number, True)
            return
        self._tuner.trial_end(trial.number, False)
        if valid and self._name == "tpe":
            self._import([trial], proposed)

    def _import(self, trials: Sequence[FrozenTrial], inactive: Mapping[str, Any] = NO_VALUES) -> None:
        """Import trials that tpe did not propose. Skip those with values outside the space.

        Args:
            trials: complete trials.
            inactive: values of their inactive parameters, in NNI's format.
        """
        data = []
        for trial in trials:
            values = {n: v for n, v in trial.params.items() if n in self._space and contains(self._space[n], v)}
            parameters = {**inactive, **{n: _to_nni(v, self._space[n]) for n, v in values.items()}}
            if values.keys() == trial.params.keys() and parameters.keys() == self._space.keys():
                data.append({"parameter": parameters, "value": trial.value})
        self._tuner.import_data(data)

    def _generate(self, number: int) -> dict[str, Any]:
        """Return the tuner's proposal; empty if the space is exhausted or the tuner waits for results."""
        import nni

        # While all of its population is running, NNI's evolution would raise a RuntimeError.
        if not getattr(self._tuner, "population", True):
            return {}
        try:
            return self._tuner.generate_parameters(number)
        except nni.NoMoreTrialError:
            return {}

    def _new_tuner(self) -> Any:
        """Create a tuner for the space, without results."""
        options: dict[str, Any] = {"optimize_mode": "maximize" if self._maximise else "minimize"}
        if self._name in ("tpe", "random"):
            options["seed"] = self._seed
        # The new tuner does not know the running trials.
        self.proposed.clear()
        tuner = _tuner_class(self._name)(**options)
        tuner.update_search_space(nni_space(self._space))
        if self._name == "evolution":
            # The tuner is seeded by the clock, so generate its first population again.
            tuner.random_state, tuner.population = np.random.RandomState(self._seed), []
            for _ in range(tuner.population_size):
                tuner._random_generate_individual()
        return tuner


def _is_valid(trial: FrozenTrial) -> bool:
    """Return whether a trial is complete and violates no constraint."""
    return trial.state == TrialState.COMPLETE and not violates_constraints(trial)


def _started(trial: FrozenTrial) -> datetime:
    assert trial.datetime_start is not None
    return trial.datetime_start


def _completed(trial: FrozenTrial) -> datetime:
    assert trial.datetime_complete is not None
    return trial.datetime_complete


def nni_space(space: Mapping[str, BaseDistribution]) -> dict[str, dict[str, Any]]:
    """Convert distributions to NNI's search-space format. Choices become JSON, so that any choice is supported."""
    return {name: _nni_domain(distribution) for name, distribution in space.items()}


def _nni_domain(distribution: BaseDistribution) -> dict[str, Any]:
    if isinstance(distribution, CategoricalDistribution):
        return {"_type": "choice", "_value": [_choice_text(c) for c in distribution.choices]}
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if low == high:
        return {"_type": "choice", "_value": [_choice_text(low)]}
    kind = "loguniform" if distribution.log else "uniform"
    if step is not None:
        return {"_type": "q" + kind, "_value": [low, high, step]}
    return {"_type": kind, "_value": [low, high]}


def _to_nni(value: Any, distribution: BaseDistribution) -> Any:
    return _choice_text(value) if isinstance(distribution, CategoricalDistribution) or distribution.single() else value


def _choice_text(value: Any) -> str:
    """Return a choice as JSON, or its `repr` if it cannot be serialized, such as a class."""
    try:
        return json.dumps(value)
    except TypeError:
        return repr(value)


def _from_nni(value: Any, distribution: BaseDistribution) -> Any:
    """Convert a value from NNI's format, and snap it to the distribution's grid: NNI's grid starts at 0."""
    if isinstance(distribution, CategoricalDistribution):
        return next((c for c in distribution.choices if _choice_text(c) == value), _NO_CHOICE)
    if isinstance(value, str):
        return json.loads(value)
    if isinstance(distribution, IntDistribution | FloatDistribution) and distribution.step is not None:
        steps = round((value - distribution.low) / distribution.step)
        value = min(max(distribution.low + steps * distribution.step, distribution.low), distribution.high)
    return int(value) if isinstance(distribution, IntDistribution) else value


def _tuner_class(tuner: str) -> Any:
    """Import the class of a tuner.

    Raises:
        UserError: if NNI, or another package that the tuner needs, is not installed.
    """
    module, name = TUNERS[tuner]
    try:
        with _without_log():
            return getattr(importlib.import_module(f"nni.algorithms.hpo.{module}"), name)
    except ImportError as error:
        raise UserError(f"--sampler nni:{tuner}: {error}; pip install nni") from error


@contextmanager
def _global_random_state(generator: random.Random) -> Iterator[None]:
    """Replace Python's global random state, which NNI uses, by that of a generator."""
    saved = random.getstate()
    random.setstate(generator.getstate())
    try:
        yield
    finally:
        generator.setstate(random.getstate())
        random.setstate(saved)


@contextmanager
def _without_log() -> Iterator[None]:
    """Disable logging up to INFO: NNI logs every trial."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
