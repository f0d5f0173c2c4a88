"""What a study holds, as arrays: every trial that ended, read once, in the order in which they ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.record import TrialRecord
from nas.samplers.genome import INACTIVE, Column
from nas.samplers.independent import holds, study_key, trials_of
from nas.samplers.scores import Gains, broken, fitness, foretold, reports

__all__ = ["Archive"]

NOT_ITS_FAULT = ("lost", "duplicate")
"""Outcomes, as our search writes them down, of trials that failed through nothing in their parameters."""


PENDING = 200
"""Running trials that are taken into account."""


class Archive:
    """The ended trials of one study. Nothing here that the study does not hold: a cache, not a memory.

    Attributes:
        study: tells the study from others.
        trials: those that ended and are of use, in the order in which they were read.
        columns: by parameter name.
        varied: the numbers among them whose bounds differ from trial to trial.
    """

    def __init__(self, study: Study) -> None:
        self.study, self._storage = study_key(study), study._storage
        self.trials: list[FrozenTrial] = []
        self.columns: dict[str, Column] = {}
        self.varied: set[str] = set()
        self._labels: dict[str, dict[tuple[type, Any], float]] = {}
        self._first: dict[str, tuple[int, int]] = {}
        self._read: set[int] = set()
        self._places: dict[int, int] = {}
        self._gains = Gains()
        self._objectives = len(study.directions)
        self._fitness: list[tuple[float, ...]] = []
        self._raw: list[dict[str, float]] = []
        self._matrix = np.full((0, 0), np.nan)
        self._names: list[str] = []

    def of(self, study: Study) -> bool:
        """Whether it is this study's."""
        return self.study == study_key(study) and self._storage is study._storage

    def update(self, study: Study) -> None:
        """Read what has ended since."""
        for trial in trials_of(study, (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)):
            if trial.number in self._read:
                continue
            self._read.add(trial.number)
            blameless = trial.state == TrialState.FAIL and TrialRecord.of(trial).outcome in NOT_ITS_FAULT
            if trial.params and not blameless:
                self._add(trial, study)
        # A parameter is asked for after those that it depends on, in the first trial that has it as well.
        names = sorted(self.columns, key=self._first.__getitem__)
        if names != self._names or len(self._raw) != len(self._matrix):
            self._fill(names)

    def _add(self, trial: FrozenTrial, study: Study) -> None:
        reached = fitness(trial, study)
        worst = (-np.inf,) * (1 + self._objectives)
        failed = trial.state == TrialState.FAIL or (reached is not None and bool(np.isnan(reached).any()))
        # One that breaks a constraint of Optuna's is of no use, whatever its score.
        failed |= broken(trial)
        continues = TrialRecord.of(trial).continues
        place = None if continues is None else self._places.get(continues)
        if place is not None and not failed:
            known = max(reports(self.trials[place], study), default=0)
            self._gains.add({step: value for step, value in reports(trial, study).items() if step >= known})
            self.trials[place], self._fitness[place] = trial, reached or worst
            return
        if not failed:
            self._gains.add(reports(trial, study))
        self._places[trial.number] = len(self.trials)
        self.trials.append(trial)
        self._fitness.append((np.nan,) * len(worst) if failed else reached or worst)
        self._raw.append(self._row(trial.params, trial.distributions, trial.number))

    def _row(
        self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], number: int
    ) -> dict[str, float]:
        """Parameters in Optuna's internal representation, their columns being noted."""
        found = {}
        for place, (name, value) in enumerate(params.items()):
            distribution = distributions[name]
            known = self.columns.get(name)
            if known is None:
                self.columns[name] = Column(distribution)
            elif not _same(known.distribution, distribution):
                self.columns[name] = known.widened(distribution)
                self._labels.pop(name, None)
                if not self.columns[name].labels:
                    self.varied.add(name)
            first = self._first.get(name)
            if first is None or (number, place) < first:
                self._first[name] = number, place
            found[name] = self._internal(name, value, distribution)
        return found

    def _internal(self, name: str, value: Any, distribution: BaseDistribution) -> float:
        """The value as Optuna holds it; that of a label is remembered, for Optuna compares it with each in turn."""
        if not isinstance(distribution, CategoricalDistribution):
            return float(distribution.to_internal_repr(value))
        known, label = self._labels.setdefault(name, {}), (type(value), value)
        try:
            return known[label]
        except KeyError:
            known[label] = found = float(distribution.to_internal_repr(value))
            return found
        except TypeError:  # a list, say, which nothing can be looked up by
            return float(distribution.to_internal_repr(value))

    def _fill(self, names: list[str]) -> None:
        """Bring the matrix up to date: all of it when a parameter is new, else the new rows."""
        start = len(self._matrix) if names == self._names else 0
        added = np.array([[row.get(name, np.nan) for name in names] for row in self._raw[start:]], dtype=float)
        added = added.reshape(len(self._raw) - start, len(names))
        self._matrix = np.concatenate([self._matrix[:start], added]) if start else added
        self._names = names

    @property
    def names(self) -> list[str]:
        """Parameters, each after those that it may depend on."""
        return self._names

    def running(self, study: Study, trial: FrozenTrial, proposed: Mapping[int, Mapping[str, Any]]) -> np.ndarray:
        """M x P codes of what is being evaluated beside the trial, the latest where there are many.

        Args:
            proposed: by number, what was proposed to trials that may not have asked for all of it yet.
        """
        rows = []
        for other in trials_of(study, (TrialState.RUNNING,))[-PENDING:]:
            params = {**proposed.get(other.number, {}), **other.params}
            known = {name: self.columns[name].distribution for name in params if name in self.columns}
            row = {n: (other.distributions.get(n) or d).to_internal_repr(params[n]) for n, d in known.items()}
            if row and other.number != trial.number:
                rows.append(row)
        return self.codes(rows)

    def fixed(self, params: Mapping[str, Any]) -> np.ndarray:
        """P codes of values that are settled, nan where there is none, or one that is no trial's so far."""
        known = {n: self.columns[n].distribution for n in params if n in self.columns}
        row = {n: d.to_internal_repr(params[n]) for n, d in known.items() if holds(d, params[n])}
        found = self.codes([row])[0]
        return np.where(found == INACTIVE, np.nan, found)

    def codes(self, rows: list[dict[str, float]] | None = None) -> np.ndarray:
        """N x P codes of the ended trials, or of rows of values in Optuna's internal representation."""
        matrix = self._matrix
        if rows is not None:
            matrix = np.array([[row.get(name, np.nan) for name in self._names] for row in rows], dtype=float)
            matrix = matrix.reshape(len(rows), len(self._names))
        found = np.empty(matrix.shape)
        for p, name in enumerate(self._names):
            found[:, p] = self.columns[name].codes(matrix[:, p])
        return found

    def bounds(self, name: str, rows: np.ndarray) -> np.ndarray:
        """N x 2 codes of the least and the largest value that each of those trials could take of a number."""
        found = np.full((len(rows), 2), np.nan)
        for i, row in enumerate(rows):
            distribution = self.trials[row].distributions.get(name)
            if isinstance(distribution, IntDistribution | FloatDistribution):
                found[i] = distribution.low, distribution.high
        return self.columns[name].codes(found)

    def fitnesses(self) -> np.ndarray:
        """N x (1 + K), larger being better: whether a trial was trained in full, and its K objectives, see `foretold`.

        That is infinity, 0, or minus infinity where it has no score at all; nan for one that failed.
        """
        raw = np.array(self._fitness, dtype=float).reshape(len(self._fitness), 1 + self._objectives)
        return foretold(raw, self._gains)

    def order(self) -> np.ndarray:
        """The trials in the order in which they ended."""
        ended = [t.datetime_complete.timestamp() if t.datetime_complete else 0.0 for t in self.trials]
        return np.lexsort(([t.number for t in self.trials], ended))


def _same(one: BaseDistribution, other: BaseDistribution) -> bool:
    """Whether two distributions are equal; Optuna compares labels one by one, which takes much longer."""
    if isinstance(one, CategoricalDistribution) and isinstance(other, CategoricalDistribution):
        return one.choices == other.choices or one == other
    return one is other or one == other
