"""The finished trials of a study as arrays, each trial read once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.record import TrialRecord
from nas.samplers.column import INACTIVE, Column
from nas.samplers.independent import all_trials, contains, study_key
from nas.samplers.scores import Gains, extrapolate_pruned, fitness, intermediate_scores, violates_constraints

__all__ = ["Archive"]

IGNORED_OUTCOMES = ("lost", "duplicate")
"""Outcomes of failed trials of a search that do not depend on their parameters."""

MAX_RUNNING = 200
"""Maximum number of running trials that are taken into account, the latest ones."""


class Archive:
    """Finished trials of a study. A cache only: everything in it can be read from the study again.

    Attributes:
        study: key of the study that the trials belong to, see `study_key`.
        trials: finished trials with parameters, in the order in which they were read.
        columns: encoding of each parameter, by its name.
        varied: names of numeric parameters whose bounds differ between trials.
    """

    def __init__(self, study: Study) -> None:
        self.study, self._storage = study_key(study), study._storage
        self.trials: list[FrozenTrial] = []
        self.columns: dict[str, Column] = {}
        self.varied: set[str] = set()
        self._choice_indices: dict[str, dict[tuple[type, Any], float]] = {}
        self._first_use: dict[str, tuple[int, int]] = {}
        self._read: set[int] = set()
        self._rows: dict[int, int] = {}
        self._gains = Gains()
        self._objectives = len(study.directions)
        self._fitness: list[tuple[float, ...]] = []
        self._values: list[dict[str, float]] = []
        self._matrix = np.full((0, 0), np.nan)
        self._names: list[str] = []

    def belongs_to(self, study: Study) -> bool:
        """Return whether this is the archive of a study."""
        return self.study == study_key(study) and self._storage is study._storage

    def update(self, study: Study) -> None:
        """Read the trials that have finished since the last update."""
        for trial in all_trials(study, (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)):
            if trial.number in self._read:
                continue
            self._read.add(trial.number)
            outcome = TrialRecord.of(trial).outcome
            ignored = trial.state == TrialState.FAIL and outcome in IGNORED_OUTCOMES
            if trial.params and not ignored:
                self._add(trial, study)
        # A parameter is suggested after those that it depends on, also in the first trial that has it.
        names = sorted(self.columns, key=self._first_use.__getitem__)
        if names != self._names or len(self._values) != len(self._matrix):
            self._update_matrix(names)

    def _add(self, trial: FrozenTrial, study: Study) -> None:
        """Add a trial, or replace the trial that it continues."""
        found = fitness(trial, study)
        worst = (-np.inf,) * (1 + self._objectives)
        failed = trial.state == TrialState.FAIL or (found is not None and bool(np.isnan(found).any()))
        # A candidate that violates a constraint counts as failed, whatever its score.
        failed |= violates_constraints(trial)
        continues = TrialRecord.of(trial).continues
        row = None if continues is None else self._rows.get(continues)
        if row is not None and not failed:
            last = max(intermediate_scores(self.trials[row], study), default=0)
            scores = intermediate_scores(trial, study).items()
            self._gains.add({step: value for step, value in scores if step >= last})
            self.trials[row], self._fitness[row] = trial, found or worst
            return
        if not failed:
            self._gains.add(intermediate_scores(trial, study))
        self._rows[trial.number] = len(self.trials)
        self.trials.append(trial)
        self._fitness.append((np.nan,) * len(worst) if failed else found or worst)
        self._values.append(self._read_values(trial.params, trial.distributions, trial.number))

    def _read_values(
        self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], number: int
    ) -> dict[str, float]:
        """Return parameters in Optuna's internal representation, and add or widen their columns."""
        found = {}
        for place, (name, value) in enumerate(params.items()):
            distribution = distributions[name]
            known = self.columns.get(name)
            if known is None:
                self.columns[name] = Column(distribution)
            elif not _equal(known.distribution, distribution):
                self.columns[name] = known.widen(distribution)
                self._choice_indices.pop(name, None)
                if not self.columns[name].categorical:
                    self.varied.add(name)
            first = self._first_use.get(name)
            if first is None or (number, place) < first:
                self._first_use[name] = number, place
            found[name] = self._internal(name, value, distribution)
        return found

    def _internal(self, name: str, value: Any, distribution: BaseDistribution) -> float:
        """Return the internal representation of a value, cached for choices: Optuna compares with each choice."""
        if not isinstance(distribution, CategoricalDistribution):
            return float(distribution.to_internal_repr(value))
        known, choice = self._choice_indices.setdefault(name, {}), (type(value), value)
        try:
            return known[choice]
        except KeyError:
            known[choice] = found = float(distribution.to_internal_repr(value))
            return found
        except TypeError:  # not hashable, such as a list
            return float(distribution.to_internal_repr(value))

    def _update_matrix(self, names: list[str]) -> None:
        """Append new rows to the matrix of values, or rebuild it if a parameter is new."""
        start = len(self._matrix) if names == self._names else 0
        added = np.array([[row.get(name, np.nan) for name in names] for row in self._values[start:]], dtype=float)
        added = added.reshape(len(self._values) - start, len(names))
        self._matrix = np.concatenate([self._matrix[:start], added]) if start else added
        self._names = names

    @property
    def names(self) -> list[str]:
        """Parameter names, each after those that it may depend on."""
        return self._names

    def encode_running(self, study: Study, trial: FrozenTrial, proposed: Mapping[int, Mapping[str, Any]]) -> np.ndarray:
        """Encode the other running trials: M x P codes of the latest MAX_RUNNING.

        Args:
            study: the study.
            trial: the trial to leave out.
            proposed: by trial number, parameters that were proposed and may not have been suggested yet.
        """
        rows = []
        for other in all_trials(study, (TrialState.RUNNING,))[-MAX_RUNNING:]:
            params = {**proposed.get(other.number, {}), **other.params}
            known = {name: self.columns[name].distribution for name in params if name in self.columns}
            row = {n: (other.distributions.get(n) or d).to_internal_repr(params[n]) for n, d in known.items()}
            if row and other.number != trial.number:
                rows.append(row)
        return self.codes(rows)

    def encode_fixed(self, params: Mapping[str, Any]) -> np.ndarray:
        """Encode fixed parameters: P codes, nan for free parameters and for values unknown to the archive."""
        known = {n: self.columns[n].distribution for n in params if n in self.columns}
        row = {n: d.to_internal_repr(params[n]) for n, d in known.items() if contains(d, params[n])}
        found = self.codes([row])[0]
        return np.where(found == INACTIVE, np.nan, found)

    def codes(self, rows: list[dict[str, float]] | None = None) -> np.ndarray:
        """Encode the finished trials, or rows of values in Optuna's internal representation: N x P codes."""
        matrix = self._matrix
        if rows is not None:
            matrix = np.array([[row.get(name, np.nan) for name in self._names] for row in rows], dtype=float)
            matrix = matrix.reshape(len(rows), len(self._names))
        found = np.empty(matrix.shape)
        for p, name in enumerate(self._names):
            found[:, p] = self.columns[name].encode(matrix[:, p])
        return found

    def bounds(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Encode the bounds of a numeric parameter in some trials: N x 2 codes."""
        found = np.full((len(rows), 2), np.nan)
        for i, row in enumerate(rows):
            distribution = self.trials[row].distributions.get(name)
            if isinstance(distribution, IntDistribution | FloatDistribution):
                found[i] = distribution.low, distribution.high
        return self.columns[name].encode(found)

    def fitnesses(self) -> np.ndarray:
        """Return the N x (1 + K) fitnesses of all trials, larger is better, see `extrapolate_pruned`.

        The first column is infinity for a complete trial, 0 for a pruned one and minus infinity for one without a
        score. Rows of failed trials are nan.
        """
        raw = np.array(self._fitness, dtype=float).reshape(len(self._fitness), 1 + self._objectives)
        return extrapolate_pruned(raw, self._gains)

    def completion_order(self) -> np.ndarray:
        """Return the indices of the trials in the order in which they finished."""
        finished = [t.datetime_complete.timestamp() if t.datetime_complete else 0.0 for t in self.trials]
        return np.lexsort(([t.number for t in self.trials], finished))


def _equal(one: BaseDistribution, other: BaseDistribution) -> bool:
    """Return whether two distributions are equal; faster than Optuna's comparison, choice by choice."""
    if isinstance(one, CategoricalDistribution) and isinstance(other, CategoricalDistribution):
        return one.choices == other.choices or one == other
    return one is other or one == other
