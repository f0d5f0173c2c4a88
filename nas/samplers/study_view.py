"""Snapshot of a study for one proposal, and operations that generate candidates from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.samplers.archive import Archive
from nas.samplers.column import INACTIVE
from nas.samplers.conditions import LearnedConditions
from nas.samplers.scores import gaussian_ranks, scalarize, weight_vectors

__all__ = ["StudyView"]

MAX_CONDITION_TRIALS = 2000
"""Maximum number of trials that conditions are learned from, the latest ones."""

WEIGHTINGS = 8
"""Number of weight vectors of several objectives, which proposals use in turn."""


class StudyView:
    """Encoded finished trials, in the order in which they finished.

    Args:
        archive: the finished trials.
        running: M x P codes of running trials.
        seed: seed of the sampler.
        number: number of the trial to propose for.
        fixed: P codes of values that the trial already has, nan for the others.

    Attributes:
        study: key of the study.
        trials: N finished trials.
        names, columns: P parameters, each after those that it may depend on.
        codes: N x P.
        weighting: index of the weight vector of several objectives.
        fitness: N x 2, last step and (weighted) score, nan for failed trials.
        scored: indices of the trials with a score.
        failed: indices of the failed trials whose candidate never succeeded.
        scores: of the scored trials, as normal quantiles of their ranks.
        continuous: whether there is a single objective and a parameter with too many values to enumerate.
        conditions: when a parameter is active.
        running: M x P, codes of running trials.
        fixed: P, codes of fixed values, nan for free ones.
        seed: seed of the sampler.
        rng: random numbers of this proposal.
    """

    def __init__(
        self, archive: Archive, running: np.ndarray, seed: int, number: int, fixed: np.ndarray | None = None
    ) -> None:
        self.study, self.names = archive.study, archive.names
        self.columns = [archive.columns[name] for name in self.names]
        self.fixed = np.full(len(self.names), np.nan) if fixed is None else fixed
        self.seed, self.rng, self.running = seed, np.random.default_rng([seed, number]), running
        order = archive.completion_order()
        self.trials = [archive.trials[i] for i in order]
        self.codes, fitnesses = archive.codes()[order], archive.fitnesses()[order]
        objectives = fitnesses.shape[1] - 1
        self.weighting = number % WEIGHTINGS if objectives > 1 else 0
        self.fitness = scalarize(fitnesses, weight_vectors(WEIGHTINGS, objectives)[self.weighting])
        has_score = ~np.isnan(self.fitness[:, 0])
        succeeded = {row.tobytes() for row in self.codes[has_score]}
        self.scored = np.flatnonzero(has_score)
        self.failed = np.array([i for i in np.flatnonzero(~has_score) if self.codes[i].tobytes() not in succeeded], int)
        self.scores = gaussian_ranks(self.fitness[self.scored]) if len(self.scored) else np.zeros(0)
        self.continuous = objectives == 1 and any(column.n_values == 0 for column in self.columns)
        latest = order[-MAX_CONDITION_TRIALS:]
        bounds = {self.names.index(name): archive.bounds(name, latest) for name in archive.varied}
        self.conditions = LearnedConditions(self.codes[-MAX_CONDITION_TRIALS:], self.columns, self.names, bounds)
        self._known = succeeded | {row.tobytes() for row in np.concatenate([self.codes[self.failed], running])}

    def best(self, count: int) -> np.ndarray:
        """Return the codes of the best trials, best first; of ties, the earlier trial first."""
        return self.codes[self.scored[np.argsort(-self.scores, kind="stable")[:count]]]

    def sample(self, count: int) -> np.ndarray:
        """Sample candidates uniformly from the known part of the space."""
        codes = np.stack([column.sample(count, self.rng) for column in self.columns], axis=1)
        return self.complete(codes)

    def mutate(self, parents: np.ndarray, count: int, changes: tuple[int, ...]) -> np.ndarray:
        """Mutate random parents into `count` candidates; the number of changed values is drawn from `changes`."""
        children = parents[self.rng.integers(len(parents), size=count)]
        free = (children != INACTIVE) & np.array([column.n_values != 1 for column in self.columns])
        free &= np.isnan(self.fixed)
        keys = np.where(free, self.rng.random(children.shape), 2.0)
        counts = np.minimum(self.rng.choice(changes, size=(count, 1)), len(self.columns))
        changed = (keys <= np.take_along_axis(np.sort(keys, axis=1), counts - 1, axis=1)) & free
        for p, column in enumerate(self.columns):
            rows = np.flatnonzero(changed[:, p])
            children[rows, p] = column.mutate(children[rows, p], self.rng)
        return self.complete(children)

    def complete(self, codes: np.ndarray) -> np.ndarray:
        """Set the fixed values of candidates, drop inactive values and sample missing ones."""
        return self.conditions.complete(np.where(np.isnan(self.fixed), codes, self.fixed), self.rng)

    def unseen(self, codes: np.ndarray) -> np.ndarray:
        """Return the unique candidates that are neither evaluated nor running."""
        fresh: dict[bytes, int] = {}
        for i, row in enumerate(codes):
            key = row.tobytes()
            if key not in self._known:
                fresh.setdefault(key, i)
        return codes[list(fresh.values())]

    def subset(self, scores: np.ndarray, size: int) -> np.ndarray:
        """Choose at most `size` trials to fit a model to: the best half, the latest quarter, the rest at random.

        Args:
            scores: N.
            size: maximum number of trials.

        Returns:
            Their indices, ascending.
        """
        count = len(scores)
        if count <= size:
            return np.arange(count)
        chosen = np.zeros(count, dtype=bool)
        chosen[np.argsort(-scores, kind="stable")[: size // 2]] = True
        chosen[count - size // 4 :] = True
        rng = np.random.default_rng([self.seed, count])
        chosen[rng.choice(np.flatnonzero(~chosen), size - chosen.sum(), replace=False)] = True
        return np.flatnonzero(chosen)

    def params(self, codes: np.ndarray) -> dict[str, Any]:
        """Decode P codes to parameters. A number equals that of the latest trial with the same code exactly."""
        found = {}
        for p, (name, column) in enumerate(zip(self.names, self.columns, strict=True)):
            if codes[p] == INACTIVE:
                continue
            same = np.flatnonzero(self.codes[:, p] == codes[p])
            exact = len(same) and not column.categorical
            found[name] = self.trials[same[-1]].params[name] if exact else column.decode(float(codes[p]))
        return found
