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
from nas.samplers.independent import IndependentSampler, checked_seed, drawn, holds, same, study_key, trials_of
from nas.samplers.scores import broken

__all__ = ["REFUSED", "TUNERS", "NNISampler", "nni_space"]

TUNERS = {
    "tpe": ("tpe_tuner", "TpeTuner"),
    "evolution": ("evolution_tuner", "EvolutionTuner"),
    "random": ("random_tuner", "RandomTuner"),
}
"""Module and class of each tuner that can be used."""

REFUSED = {
    "gp": "it hands SciPy a starting point of two dimensions, which SciPy has refused since 1.11",
    "metis": "it hands SciPy a starting point of two dimensions, which SciPy has refused since 1.11",
    "anneal": "NNI's wrapper of hyperopt fails with today's NumPy as soon as it is told a score",
    "smac": "it needs smac4nni, which does not build on Python 3.10 or later",
    "dngo": "it needs pybnn, which is not maintained",
    "gridsearch": "a grid has no use for scores",
    "batch": "it only walks through a list",
    "pbt": "it needs trainings that hand their weights on",
    "ppo": "it learns a policy from whole batches of trainings",
    "bohb": "it decides how long to train as well, for which --stopping is there",
    "hyperband": "it decides how long to train, for which --stopping hyperband is there",
    "networkmorphism": "it builds networks of its own",
    "regularized_evolution": "it is of NNI's own architecture spaces; --sampler evolution is the same for any space",
}
"""Tuners that NNI has and this does not offer, and why."""


NOTHING: Mapping[str, Any] = {}

_NO_CHOICE = object()
"""In place of a label that a distribution does not hold; None may be one that it does."""

_ONE_AT_A_TIME = threading.Lock()
"""Held by the thread that asks a tuner: tuners are not made for threads, and draw from one state of Python's own."""


class NNISampler(IndependentSampler):
    """Asks an NNI tuner for a candidate, and tells it the score.

    NNI's tuners want to know the space beforehand. When it is not given, it is what the trials have shown of it
    so far: a parameter that is new has the tuner made anew and shown the past, where it can take it in (tpe).
    The space is flat: conditional parameters are always chosen, and used where they are reached.
    What a tuner has learnt is in its memory alone: in a study that goes on, it is asked and told all of it again.
    A trial that had other values than were proposed, such as one enqueued, and one that breaks a constraint of
    Optuna's, are told as failures; the first kind is shown to a tuner that can take it in (tpe).

    Args:
        tuner: one of TUNERS.
        seed: of the tuner, where it takes one, and of what is drawn.
        space: the distributions by name, if known.

    Raises:
        UserError: when there is no such tuner, or it does not run here.
        ValueError: when the seed is negative.
    """

    def __init__(self, tuner: str, seed: int = 0, space: Mapping[str, BaseDistribution] | None = None) -> None:
        if tuner not in TUNERS:
            why = REFUSED.get(tuner, f"there is no such tuner; choose from {', '.join(TUNERS)}")
            raise UserError(f"--sampler nni:{tuner}: {why}")
        _class(tuner)  # refused at once where it does not run
        self._name, self._seed = tuner, checked_seed(seed)
        self._space = dict(space or {})
        self._dialogues: dict[tuple[str, int], tuple[BaseStorage, _Dialogue]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # They are held anew from the study: the storage of one may be such that it cannot be pickled.
        return self.__dict__ | {"_dialogues": {}}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Have the tuner propose.

        Raises:
            ValueError: when the study has several objectives.
        """
        self._raise_error_if_multi_objective(study)
        with _ONE_AT_A_TIME:
            others = [t for t in trials_of(study) if t.number != trial.number]
            storage, dialogue = self._dialogues.get(study_key(study), (None, None))
            if dialogue is None or storage is not study._storage:
                maximise = study.direction == StudyDirection.MAXIMIZE
                dialogue = _Dialogue(self._name, self._seed, self._space, maximise)
                self._dialogues[study_key(study)] = study._storage, dialogue
            # Other processes may have asked for trials of the study since, as an earlier one may have.
            dialogue.repeat(others)
            dialogue.ask(trial.number, [t for t in others if t.state.is_finished()])

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        _, dialogue = self._dialogues.get(study_key(study), (None, None))
        genes = dialogue.proposed.get(trial.number, {}) if dialogue else {}
        if param_name in genes:
            value = _from_nni(genes[param_name], param_distribution)
            if holds(param_distribution, value):
                return value
        return drawn(self._seed, study, trial, param_name, param_distribution)


class _Dialogue:
    """What a study asks a tuner and tells it, of which all that follows depends on the order alone."""

    def __init__(self, tuner: str, seed: int, space: Mapping[str, BaseDistribution], maximise: bool) -> None:
        self.proposed: dict[int, dict[str, Any]] = {}
        self._asked: set[int] = set()
        self._name, self._seed, self._maximise = tuner, seed, maximise
        self._space = dict(space)
        self._tuner: Any = None
        self._ended: dict[int, FrozenTrial] = {}
        self._random = random.Random(seed)

    def repeat(self, trials: Sequence[FrozenTrial]) -> None:
        """Ask for those trials of a study that were not asked for yet, telling each time what had ended by then."""
        started = [t for t in trials if t.datetime_start and t.number not in self._asked]
        # A trial that was added, not asked for, has taken no time.
        new = [t for t in started if t.datetime_start != t.datetime_complete]
        if not new:
            return
        ended = sorted((t for t in trials if t.datetime_complete), key=_completed)
        told = 0
        for trial in sorted(new, key=_started):
            there = bisect_right(ended, _started(trial), key=_completed)
            self.ask(trial.number, ended[told:there])
            told = there

    def ask(self, number: int, ended: Sequence[FrozenTrial]) -> None:
        """Have the tuner propose for the trial of a number, once it has been told what is new among the ended.

        A running trial of another thread may have been asked for already, by the thread that came first.
        """
        if number in self._asked:
            return
        self._asked.add(number)
        new = sorted((t for t in ended if t.number not in self._ended), key=_completed)
        known = self._space | {n: d for t in new for n, d in t.distributions.items() if n not in self._space}
        with _state_of(self._random), _quiet():
            for trial in new:
                self._ended[trial.number] = trial
                self._tell(trial)
            if known and (known != self._space or self._tuner is None):
                self._space = known
                self._tuner = self._made()
                if self._name == "tpe":
                    self._show([t for t in self._ended.values() if t.state == TrialState.COMPLETE and not broken(t)])
            if self._tuner is not None:
                self.proposed[number] = self._generated(number)

    def _tell(self, trial: FrozenTrial) -> None:
        genes = self.proposed.pop(trial.number, None)
        if not genes:
            return
        complete = trial.state == TrialState.COMPLETE and not broken(trial)
        common = {n: d for n, d in trial.distributions.items() if n in genes}
        as_proposed = all(same(d, _from_nni(genes[n], d), trial.params[n]) for n, d in common.items())
        if complete and common and as_proposed:
            self._tuner.receive_trial_result(trial.number, genes, trial.value)
            self._tuner.trial_end(trial.number, True)
            return
        self._tuner.trial_end(trial.number, False)
        if complete and self._name == "tpe":
            self._show([trial], genes)

    def _show(self, trials: Sequence[FrozenTrial], rest: Mapping[str, Any] = NOTHING) -> None:
        """Show tpe trials that it did not propose; not those that have values which its space does not hold.

        Args:
            rest: for parameters that they did not reach, what is to stand there, in NNI's terms.
        """
        shown = []
        for trial in trials:
            values = {n: v for n, v in trial.params.items() if n in self._space and holds(self._space[n], v)}
            told = {**rest, **{n: _to_nni(v, self._space[n]) for n, v in values.items()}}
            if values.keys() == trial.params.keys() and told.keys() == self._space.keys():
                shown.append({"parameter": told, "value": trial.value})
        self._tuner.import_data(shown)

    def _generated(self, number: int) -> dict[str, Any]:
        """What the tuner proposes; nothing when it has proposed all there is, or waits for what it proposed."""
        import nni

        # With its whole population out, NNI's evolution has none to mutate, and would raise a RuntimeError.
        if not getattr(self._tuner, "population", True):
            return {}
        try:
            return self._tuner.generate_parameters(number)
        except nni.NoMoreTrialError:
            return {}

    def _made(self) -> Any:
        """A tuner for the space, which knows nothing of the past."""
        options: dict[str, Any] = {"optimize_mode": "maximize" if self._maximise else "minimize"}
        if self._name in ("tpe", "random"):
            options["seed"] = self._seed
        # What a tuner that is made anew was running, it no longer knows.
        self.proposed.clear()
        tuner = _class(self._name)(**options)
        tuner.update_search_space(nni_space(self._space))
        if self._name == "evolution":
            # It seeds itself from the clock: its first population is drawn again.
            tuner.random_state, tuner.population = np.random.RandomState(self._seed), []
            for _ in range(tuner.population_size):
                tuner._random_generate_individual()
        return tuner


def _started(trial: FrozenTrial) -> datetime:
    assert trial.datetime_start is not None
    return trial.datetime_start


def _completed(trial: FrozenTrial) -> datetime:
    assert trial.datetime_complete is not None
    return trial.datetime_complete


def nni_space(space: Mapping[str, BaseDistribution]) -> dict[str, dict[str, Any]]:
    """Distributions in NNI's search-space format: labels by their JSON, so that any label can be told."""
    return {name: _described(distribution) for name, distribution in space.items()}


def _described(distribution: BaseDistribution) -> dict[str, Any]:
    if isinstance(distribution, CategoricalDistribution):
        return {"_type": "choice", "_value": [_label(c) for c in distribution.choices]}
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if low == high:
        return {"_type": "choice", "_value": [_label(low)]}
    kind = "loguniform" if distribution.log else "uniform"
    if step is not None:
        return {"_type": "q" + kind, "_value": [low, high, step]}
    return {"_type": kind, "_value": [low, high]}


def _to_nni(value: Any, distribution: BaseDistribution) -> Any:
    return _label(value) if isinstance(distribution, CategoricalDistribution) or distribution.single() else value


def _label(value: Any) -> str:
    """A label's JSON; its representation where it has none, as a class."""
    try:
        return json.dumps(value)
    except TypeError:
        return repr(value)


def _from_nni(value: Any, distribution: BaseDistribution) -> Any:
    """The value on the distribution's grid, which NNI counts from zero."""
    if isinstance(distribution, CategoricalDistribution):
        return next((c for c in distribution.choices if _label(c) == value), _NO_CHOICE)
    if isinstance(value, str):
        return json.loads(value)
    if isinstance(distribution, IntDistribution | FloatDistribution) and distribution.step is not None:
        steps = round((value - distribution.low) / distribution.step)
        value = min(max(distribution.low + steps * distribution.step, distribution.low), distribution.high)
    return int(value) if isinstance(distribution, IntDistribution) else value


def _class(tuner: str) -> Any:
    """NNI's class.

    Raises:
        UserError: when NNI, or what the tuner needs besides, is not installed.
    """
    module, name = TUNERS[tuner]
    try:
        with _quiet():
            return getattr(importlib.import_module(f"nni.algorithms.hpo.{module}"), name)
    except ImportError as error:
        raise UserError(f"--sampler nni:{tuner}: {error}; pip install nni") from error


@contextmanager
def _state_of(generator: random.Random) -> Iterator[None]:
    """Python's global random numbers, which NNI draws from, taken from a generator of one's own."""
    kept = random.getstate()
    random.setstate(generator.getstate())
    try:
        yield
    finally:
        generator.setstate(random.getstate())
        random.setstate(kept)


@contextmanager
def _quiet() -> Iterator[None]:
    """NNI's log, which tells of every trial, silenced."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
