"""The contenders of the final ranking: the baselines and the best candidates of the search."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import numpy as np
import optuna

from nas.record import TrialRecord, by_hash, records
from nas.runs.objectives import as_points, crowded_comparison_ranks
from nas.space import Recipe, candidate_hash, to_json

__all__ = ["Contender", "affordable", "best_of_front", "contenders"]


@dataclass(frozen=True)
class Contender:
    """A candidate in the final ranking.

    Attributes:
        candidate: its JSON.
        digest: its hash.
        trial: number of its trial, None where the search has not trained it.
        baseline: index among the baselines, None for other candidates.
        display_name: its name, see `nas.record.TrialRecord.name`; empty for a name made of the numbers.
    """

    candidate: str
    digest: str
    trial: int | None
    baseline: int | None
    display_name: str = ""

    @property
    def name(self) -> str:
        """Name in the table."""
        if self.display_name:
            return self.display_name
        return f"trial {self.trial}" if self.baseline is None else f"baseline {self.baseline}"


def contenders(study: optuna.Study, space: Recipe, best: int) -> list[Contender]:
    """The declared baselines and the `best` other candidates that were trained in full.

    Baselines that were stopped early, as with a time limit, are left out.
    """
    known = by_hash(study)
    found = {}
    for i, baseline in enumerate(space.baselines):
        digest = candidate_hash(baseline.candidate())
        record = known.get(digest)
        if record is None or record.outcome != "pruned":
            number = None if record is None else record.number
            found[digest] = Contender(to_json(baseline.candidate()), digest, number, i, space.baseline_name(i))
    complete = [record for digest, record in known.items() if record.outcome == "complete" and digest not in found]
    for record in best_of_front(complete, best):
        found[record.hash] = Contender(record.candidate, record.hash, record.number, None, record.name)
    return list(found.values())


def best_of_front(complete: list[TrialRecord], count: int) -> list[TrialRecord]:
    """The best complete trials, that of the highest mIoU first.

    With several objectives, these are spread over the Pareto front.
    """
    if not complete or len(complete[0].values) == 1:
        return sorted(complete, key=lambda record: -record.values[0])[:count]
    points = as_points([record.values for record in complete])
    ranks = crowded_comparison_ranks(points)
    ranks[np.argmax(points[:, 0])] = -1
    return [complete[i] for i in np.argsort(ranks, kind="stable")[:count]]


def affordable(
    study: optuna.Study, entrants: list[Contender], repeats: int, seconds: float, slots: int
) -> tuple[list[Contender], int]:
    """Choose the contenders and the number of seeds that fit into a limited time.

    All contenders share their seeds, since means over different seeds do not compare.

    Args:
        repeats: seeds that are wanted, that of the search included.
        seconds: time left for the ranking, infinity for no limit.
        slots: workers.

    Returns:
        All contenders, the best of the search first, on as many seeds as fit. Where not even one more seed fits, the
        best on two seeds, and else every contender that the search has trained in full, on its seed alone.
    """
    known = records(study)
    trained = {c.digest: known[c.trial] for c in entrants if c.trial is not None}
    score = {digest: record.values[0] for digest, record in trained.items() if record.outcome == "complete"}
    if math.isinf(seconds) or not score:
        return entrants, repeats
    durations = {digest: trained[digest].seconds or 0.0 for digest in score}
    mean = statistics.fmean(durations.values())
    best = sorted((c for c in entrants if c.digest in score), key=lambda c: -score[c.digest])

    def expected(chosen: list[Contender], seeds: int) -> float:
        # A contender that the search has not trained lacks its seed too.
        work = [(seeds + (c.digest not in score)) * durations.get(c.digest, mean) for c in chosen]
        return max(sum(work) / slots, max(durations.get(c.digest, mean) for c in chosen))

    for seeds in range(repeats - 1, 0, -1):
        if expected(entrants, seeds) <= seconds:
            return [*best, *(c for c in entrants if c.digest not in score)], seeds + 1
    for count in range(len(best), 1, -1):
        if repeats > 1 and expected(best[:count], 1) <= seconds:
            return best[:count], 2
    return best, 1
