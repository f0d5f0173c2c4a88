"""The study as one ask sees it, and the moves that can be made from there."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.samplers.archive import Archive
from nas.samplers.genome import INACTIVE, Rules
from nas.samplers.scores import directions, gaussian_ranks, one_score

__all__ = ["View"]

LATEST = 2000
"""Trials from which it is learnt when a parameter is reached."""

DIRECTIONS = 8
"""Ways to weigh several objectives that asks look at in turn."""


class View:
    """Codes of the ended trials, in the order in which they ended.

    Attributes:
        study: tells the study from others.
        names, columns: the parameters, each after those that it may depend on.
        codes: N x P.
        direction: which of the ways to weigh several objectives this ask looks at.
        fitness: N x 2, how far and the score (of several objectives, weighted), nan for those that failed.
        scored, failed: which have a score, and which failed without having succeeded at another time.
        scores: of the scored ones, as normal quantiles of their ranks.
        real: whether there are real numbers to approach the optimum of one objective by.
        running: M x P, what is being evaluated.
        fixed: P codes of what the trial has already, nan where it is free.
        seed, rng: the sampler's seed, and the numbers of this one ask.
    """

    def __init__(
        self, archive: Archive, running: np.ndarray, seed: int, number: int, fixed: np.ndarray | None = None
    ) -> None:
        self.study, self.names = archive.study, archive.names
        self.columns = [archive.columns[name] for name in self.names]
        self.fixed = np.full(len(self.names), np.nan) if fixed is None else fixed
        self.seed, self.rng, self.running = seed, np.random.default_rng([seed, number]), running
        order = archive.order()
        self.trials = [archive.trials[i] for i in order]
        self.codes, reached = archive.codes()[order], archive.fitnesses()[order]
        objectives = reached.shape[1] - 1
        self.direction = number % DIRECTIONS if objectives > 1 else 0
        self.fitness = one_score(reached, directions(DIRECTIONS, objectives)[self.direction])
        good = ~np.isnan(self.fitness[:, 0])
        succeeded = {row.tobytes() for row in self.codes[good]}
        self.scored = np.flatnonzero(good)
        self.failed = np.array([i for i in np.flatnonzero(~good) if self.codes[i].tobytes() not in succeeded], int)
        self.scores = gaussian_ranks(self.fitness[self.scored]) if len(self.scored) else np.zeros(0)
        self.real = objectives == 1 and any(column.levels == 0 for column in self.columns)
        bounds = {self.names.index(name): archive.bounds(name, order[-LATEST:]) for name in archive.varied}
        self.rules = Rules(self.codes[-LATEST:], self.columns, self.names, bounds)
        self._known = succeeded | {row.tobytes() for row in np.concatenate([self.codes[self.failed], running])}

    def best(self, count: int) -> np.ndarray:
        """Codes of the best trials, the best first, the earlier of equals first."""
        return self.codes[self.scored[np.argsort(-self.scores, kind="stable")[:count]]]

    def drawn(self, count: int) -> np.ndarray:
        """Codes drawn at random from what is known of the space."""
        codes = np.stack([column.draw(count, self.rng) for column in self.columns], axis=1)
        return self.complete(codes)

    def mutants(self, parents: np.ndarray, count: int, changes: tuple[int, ...]) -> np.ndarray:
        """Copies of random parents, each with as many genes changed as one of `changes` says."""
        children = parents[self.rng.integers(len(parents), size=count)]
        free = (children != INACTIVE) & np.array([column.levels != 1 for column in self.columns])
        free &= np.isnan(self.fixed)
        keys = np.where(free, self.rng.random(children.shape), 2.0)
        wanted = np.minimum(self.rng.choice(changes, size=(count, 1)), len(self.columns))
        changed = (keys <= np.take_along_axis(np.sort(keys, axis=1), wanted - 1, axis=1)) & free
        for p, column in enumerate(self.columns):
            rows = np.flatnonzero(changed[:, p])
            children[rows, p] = column.mutated(children[rows, p], self.rng)
        return self.complete(children)

    def complete(self, codes: np.ndarray) -> np.ndarray:
        """Candidates with what is fixed, without what they then do not reach, and with draws for what they lack."""
        return self.rules.complete(np.where(np.isnan(self.fixed), codes, self.fixed), self.rng)

    def unseen(self, codes: np.ndarray) -> np.ndarray:
        """Those codes that were not evaluated, nor are, each once."""
        fresh: dict[bytes, int] = {}
        for i, row in enumerate(codes):
            key = row.tobytes()
            if key not in self._known:
                fresh.setdefault(key, i)
        return codes[list(fresh.values())]

    def subset(self, scores: np.ndarray, size: int) -> np.ndarray:
        """Which to learn from when there are many: the best half, the latest quarter, the rest drawn; in order."""
        count = len(scores)
        if count <= size:
            return np.arange(count)
        chosen = np.zeros(count, dtype=bool)
        chosen[np.argsort(-scores, kind="stable")[: size // 2]] = True
        chosen[count - size // 4 :] = True
        rng = np.random.default_rng([self.seed, count])
        chosen[rng.choice(np.flatnonzero(~chosen), size - chosen.sum(), replace=False)] = True
        return np.flatnonzero(chosen)

    def genes(self, codes: np.ndarray) -> dict[str, Any]:
        """The values by name of P codes, exactly those of an earlier trial where its code is the same."""
        found = {}
        for p, (name, column) in enumerate(zip(self.names, self.columns, strict=True)):
            if codes[p] == INACTIVE:
                continue
            same = np.flatnonzero(self.codes[:, p] == codes[p])
            exact = len(same) and not column.labels
            found[name] = self.trials[same[-1]].params[name] if exact else column.value(float(codes[p]))
        return found
