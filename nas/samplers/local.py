"""Local search as an Optuna sampler: the best so far with one gene changed."""

from __future__ import annotations

import numpy as np

from nas.samplers.proposing import ProposingSampler
from nas.samplers.study_view import View

__all__ = ["LocalSearchSampler"]

NEIGHBOURS = 200


class LocalSearchSampler(ProposingSampler):
    """Tries the neighbours of the best trial so far, one gene away, in random order.

    The first trials are drawn. When no neighbour is left to try, those two and three genes away are, then any others.
    Nothing is known of the space beforehand; pruned trials rank below those trained in full, see `foretold`.

    Args:
        seed: of every random number; drawn when None.
        start: scored trials before the first neighbour.
    """

    def __init__(self, seed: int | None = None, start: int = 10) -> None:
        super().__init__(seed)
        self._start = start

    def propose(self, view: View) -> np.ndarray | None:
        if len(view.scored) < self._start:
            return view.drawn(1)[0]
        for changes in (1, 2, 3):
            near = view.unseen(view.mutants(view.best(1), NEIGHBOURS, (changes,)))
            if len(near):
                return near[0]
        rest = view.unseen(view.drawn(NEIGHBOURS))
        return rest[0] if len(rest) else view.drawn(1)[0]
