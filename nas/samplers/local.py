"""Local search: change one parameter of the best trial."""

from __future__ import annotations

import numpy as np

from nas.samplers.proposing import ProposingSampler
from nas.samplers.study_view import StudyView

__all__ = ["LocalSearchSampler"]

NEIGHBOURS = 200
"""Neighbours generated per proposal."""


class LocalSearchSampler(ProposingSampler):
    """Sampler that tries the neighbours of the best trial, which differ in one parameter, in random order.

    The first trials are random. Once all neighbours have been tried, it tries candidates that differ in two and three
    parameters, then random ones. The search space need not be known beforehand. Pruned trials rank below complete
    ones, see `extrapolate_pruned`.

    Args:
        seed: seed of all random numbers; None for a random one.
        start: number of scored trials before the first neighbour.
    """

    def __init__(self, seed: int | None = None, start: int = 10) -> None:
        super().__init__(seed)
        self._start = start

    def propose(self, view: StudyView) -> np.ndarray | None:
        if len(view.scored) < self._start:
            return view.sample(1)[0]
        for changes in (1, 2, 3):
            neighbours = view.unseen(view.mutate(view.best(1), NEIGHBOURS, (changes,)))
            if len(neighbours):
                return neighbours[0]
        others = view.unseen(view.sample(NEIGHBOURS))
        return others[0] if len(others) else view.sample(1)[0]
