"""The final ranking: the best few and the baselines, each trained in full on several seeds."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from scipy.special import stdtrit

from nas.controller.progress import Progress
from nas.controller.work import Task
from nas.pool import Done, Ended, Failed, Infeasible, Job, Lost, Pool, Rung
from nas.record import TrialRecord, by_hash, records
from nas.runs.objectives import as_points, standing
from nas.runs.settings import Settings
from nas.space import Recipe, candidate_hash, to_json
from nas.stopping import rungs_of

__all__ = [
    "Contender",
    "affordable",
    "confidence_interval",
    "contenders",
    "pooled_variance",
    "rank",
    "repeat",
    "winner",
]

log = logging.getLogger("nas")

KEPT = ("seconds", "peak_mb", "latency_ms")

TIE = 2.0
"""Standard errors of a difference within which two contenders tie. Student's quantile for the few degrees of freedom
that a final has is wider, 12.7 for two contenders on two seeds: everything would tie."""

REPEATS = "repeats"
"""Study attribute: results by candidate hash, then by seed."""

LOST = "lost"
"""Of a result: whether the training was lost with its worker."""


@dataclass(frozen=True)
class Contender:
    """A candidate that takes part in the final: its trial number, or its place among the baselines, or both.

    Attributes:
        known_as: what people know it by, see `nas.record.TrialRecord.name`.
    """

    candidate: str
    digest: str
    trial: int | None
    baseline: int | None
    known_as: str = ""

    @property
    def name(self) -> str:
        """What the table calls it."""
        if self.known_as:
            return self.known_as
        return f"trial {self.trial}" if self.baseline is None else f"baseline {self.baseline}"


def contenders(study: optuna.Study, space: Recipe, best: int) -> list[Contender]:
    """The declared baselines and the `best` complete candidates beside them, without repetition."""
    known = by_hash(study)
    found = {}
    for i, baseline in enumerate(space.baselines):
        digest = candidate_hash(baseline.candidate())
        number = known[digest].number if digest in known else None
        found[digest] = Contender(to_json(baseline.candidate()), digest, number, i, space.baseline_name(i))
    complete = [record for d, record in known.items() if record.outcome == "complete" and d not in found]
    for record in best_of_front(complete, best):
        found[record.hash] = Contender(record.candidate, record.hash, record.number, None, record.name)
    return list(found.values())


def affordable(
    study: optuna.Study, entrants: list[Contender], repeats: int, seconds: float, slots: int
) -> tuple[list[Contender], int]:
    """The contenders and the number of seeds that a limited time suffices for, since means over other seeds mislead.

    Args:
        repeats: seeds that are wanted, that of the search included.
        seconds: the time that is left for the ranking, infinity for no limit.
        slots: workers.

    Returns:
        All contenders on as many seeds as fit, else the best of the search on one seed more than it had, else those
        that the search has trained in full on its seed alone.
    """
    known = records(study)
    trained = {c.digest: known[c.trial] for c in entrants if c.trial is not None}
    score = {digest: record.values[0] for digest, record in trained.items() if record.outcome == "complete"}
    if math.isinf(seconds) or not score:
        return entrants, repeats
    lengths = {digest: trained[digest].seconds or 0.0 for digest in score}
    usual = statistics.fmean(lengths.values())
    best = sorted((c for c in entrants if c.digest in score), key=lambda c: -score[c.digest])

    def takes(some: list[Contender], seeds: int) -> float:
        # A contender that the search has not trained lacks its seed too.
        work = [(seeds + (c.digest not in score)) * lengths.get(c.digest, usual) for c in some]
        return max(sum(work) / slots, max(lengths.get(c.digest, usual) for c in some))

    for seeds in range(repeats - 1, 0, -1):
        if takes(entrants, seeds) <= seconds:
            return entrants, seeds + 1
    for count in range(len(best), 1, -1):
        if repeats > 1 and takes(best[:count], 1) <= seconds:
            return best[:count], 2
    return best, 1


def best_of_front(complete: list[TrialRecord], count: int) -> list[TrialRecord]:
    """The best of complete trials by mIoU; of several objectives, those that stand for the front, mIoU's best first."""
    if not complete or len(complete[0].values) == 1:
        return sorted(complete, key=lambda t: -t.values[0])[:count]
    points = as_points([t.values for t in complete])
    place = standing(points)
    place[np.argmax(points[:, 0])] = -1
    return [complete[i] for i in np.argsort(place, kind="stable")[:count]]


def repeat(
    study: optuna.Study,
    pool: Pool,
    entrants: list[Contender],
    settings: Settings,
    checkpoint: Callable[[str, int], Path],
    provenance: dict[str, Any],
    progress: Progress,
    folds: int = 0,
    in_time: Callable[[], bool] = lambda: True,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Train every contender on every seed; results by hash and seed.

    Args:
        folds: folds that contenders are scored on, 0 for one validation split. Each seed divides the images anew, and
            no weights are kept.
        in_time: whether there is time left; trainings that have not ended then are given up.

    What was trained already, in the search or before a resume, is not trained again: a candidate, a seed
    and a device give the same numbers. What was lost, through no fault of its own, is, and so is what has lost its
    checkpoint, which may be the one to be exported.
    """
    results: dict[str, dict[str, dict[str, Any]]] = study.user_attrs.get(REPEATS, {})
    results = {
        c.digest: {
            **_from_search(study, c, settings, checkpoint, folds),
            **_kept(c, results.get(c.digest, {}), checkpoint, folds),
        }
        for c in entrants
    }
    seeds = range(settings.seed, settings.seed + settings.repeats)
    jobs = [
        Job(i, (c, seed))
        # Seed by seed, so that seeds are common to all contenders where the time does not suffice for each.
        for i, (c, seed) in enumerate((c, s) for s in seeds for c in entrants if str(s) not in results[c.digest])
    ]
    waiting = {job.id: job.payload for job in jobs}
    rungs = rungs_of(settings.full_steps)
    underway: dict[int, float] = {}
    for number, (contender, seed) in waiting.items():
        path = None if folds else str(checkpoint(contender.digest, seed))
        task = Task(
            contender.candidate, settings.full_steps, rungs, seed, path, provenance, settings.timed, folds=folds
        )
        pool.submit(Job(number, task))
    progress.total = len(jobs)
    while waiting:
        if not in_time():
            log.info("The time for the ranking is used up: %d trainings are given up.", len(waiting))
            for number in waiting:
                pool.cancel(number)
            return _on_common_seeds(results)
        for message in pool.messages(timeout=0.5):
            if isinstance(message, Done | Failed | Infeasible | Lost) and message.job.id in waiting:
                contender, seed = waiting.pop(message.job.id)
                underway.pop(message.job.id, None)
                results[contender.digest][str(seed)] = _plain(message)
                study.set_user_attr(REPEATS, results)
                score = message.result["miou"] if isinstance(message, Done) else None
                progress.note("failed" if score is None else "trained", score)
            elif isinstance(message, Rung):
                underway[message.job.id] = message.step / settings.full_steps
                pool.answer(message.job.id, True)
        running = min(len(waiting), pool.slots)
        progress.show(len(jobs) - len(waiting), running, underway=sum(underway.values()))
    return results


def _on_common_seeds(results: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Results on the seeds that every contender has, since means over different seeds do not compare.

    Where there is no such seed, those of each contender.
    """
    begun = [set(of_seed) for of_seed in results.values() if of_seed]
    common = set.intersection(*begun) if begun else set()
    if not common:
        return results
    return {digest: {s: r for s, r in of_seed.items() if s in common} for digest, of_seed in results.items()}


def _plain(message: Ended) -> dict[str, Any]:
    if isinstance(message, Done):
        return {name: message.result[name] for name in ("miou", *KEPT)}
    return {"error": message.reason, LOST: isinstance(message, Lost)}


def _kept(
    contender: Contender, results: dict[str, dict[str, Any]], checkpoint: Callable[[str, int], Path], folds: int
) -> dict[str, dict[str, Any]]:
    """Earlier results that need no new training."""
    return {
        seed: result
        for seed, result in results.items()
        if not result.get(LOST) and ("error" in result or folds or checkpoint(contender.digest, int(seed)).exists())
    }


def _from_search(
    study: optuna.Study, contender: Contender, settings: Settings, checkpoint: Callable[[str, int], Path], folds: int
) -> dict[str, dict[str, Any]]:
    """The search's own training of a contender, which had the first seed."""
    if contender.trial is None or not (folds or checkpoint(contender.digest, settings.seed).exists()):
        return {}
    record = records(study)[contender.trial]
    if record.outcome != "complete":
        return {}
    return {str(settings.seed): {"miou": record.values[0], **{name: getattr(record, name) for name in KEPT}}}


def confidence_interval(values: list[float]) -> float:
    """Half the 95 % interval of the mean (Student's t); NaN for fewer than two values."""
    n = len(values)
    if n < 2:
        return math.nan
    return float(stdtrit(n - 1, 0.975)) * statistics.stdev(values) / math.sqrt(n)


def rank(entrants: list[Contender], results: dict[str, dict[str, dict[str, Any]]], study: optuna.Study) -> pd.DataFrame:
    """The table, best first: mean validation mIoU, its interval, whether it ties with the first, costs, and who wins.

    A contender ties with the first when their difference, over the seeds that both have, is within two standard
    errors, by the variance pooled over all contenders (`pooled_variance`): two or three differences of a pair say
    little about their own spread. The winner is that of `winner`, or where there are several objectives the first.
    """
    known = by_hash(study)
    rows = []
    for contender in entrants:
        done = {seed: r for seed, r in results[contender.digest].items() if "miou" in r}
        values = {seed: r["miou"] for seed, r in done.items()}
        record = known.get(contender.digest)
        errors = [r["error"] for r in results[contender.digest].values() if "error" in r]
        rows.append(
            {
                "name": contender.name,
                "hash": contender.digest,
                "baseline": contender.baseline is not None,
                "miou": statistics.fmean(values.values()) if values else math.nan,
                "interval": confidence_interval(list(values.values())),
                "seeds": len(values),
                "search_miou": record.score if record else math.nan,
                "params": record.params if record else None,
                "macs": record.macs if record else None,
                "seconds": statistics.fmean(r["seconds"] for r in done.values()) if done else math.nan,
                "peak_mb": max((r["peak_mb"] for r in done.values()), default=math.nan),
                "latency_ms": _median([r["latency_ms"] for r in done.values() if r.get("latency_ms") is not None]),
                "values": values,
                "error": errors[0] if errors else "",
            }
        )
    table = pd.DataFrame(rows).sort_values("miou", ascending=False, na_position="last", ignore_index=True)
    first, noise = table["values"].iloc[0], pooled_variance(list(table["values"]))
    table.insert(4, "tie", [i > 0 and _ties(first, values, noise) for i, values in enumerate(table["values"])])
    place = winner(table) if len(study.directions) == 1 else 0
    table.insert(5, "winner", [i == place for i in range(len(table))])
    table.index = pd.RangeIndex(1, len(table) + 1, name="rank")
    return table


def winner(table: pd.DataFrame) -> int:
    """The place of the smallest network among those that tie with the first and are within a standard error of it.

    A difference that the seeds cannot tell is no reason to carry a larger network: this is the one-standard-error
    rule (Breiman et al. 1984, section 3.4.3). The error of a mean is pooled over all contenders, since a few seeds
    say little about it. Without seeds to compare, the first wins.
    """
    seeds = [list(values.values()) for values in table["values"]]
    if len(seeds[0]) < 2:
        return 0
    compared = [values for values in seeds if len(values) > 1]
    squares = sum((len(values) - 1) * statistics.variance(values) for values in compared)
    error = math.sqrt(squares / sum(len(values) - 1 for values in compared) / len(seeds[0]))
    close = table["tie"] & (table["miou"] >= table["miou"].iloc[0] - error)
    sizes = table["params"].astype(float).where(close | (table.index == table.index[0])).fillna(math.inf)
    return int(np.argmin(sizes))


def _median(values: list[float]) -> float:
    return statistics.median(values) if values else math.nan


def _ties(first: dict[str, float], other: dict[str, float], noise: float) -> bool:
    differences = [first[seed] - other[seed] for seed in first if seed in other]
    # One seed tells nothing, a tie no more than a difference.
    if len(differences) < 2:
        return False
    return abs(statistics.fmean(differences)) <= TIE * math.sqrt(2 * noise / len(differences))


def pooled_variance(scores: list[dict[str, float]]) -> float:
    """The variance of one training's score, once what its contender and its seed have in common is taken out.

    That is the residual of the two-way layout without interaction, by least squares, so that seeds may be missing;
    NaN where nothing is left to judge it by.

    Args:
        scores: of each contender, by seed.
    """
    seeds = sorted({seed for values in scores for seed in values})
    cells = [(i, seeds.index(seed), value) for i, values in enumerate(scores) for seed, value in values.items()]
    layout = np.zeros((len(cells), len(scores) + len(seeds)))
    for row, (contender, seed, _) in enumerate(cells):
        layout[row, [contender, len(scores) + seed]] = 1.0
    observed = np.array([value for *_, value in cells])
    freedom = len(cells) - (np.linalg.matrix_rank(layout) if cells else 0)
    if not freedom:
        return math.nan
    fit = np.linalg.lstsq(layout, observed, rcond=None)[0]
    return float(np.sum((observed - layout @ fit) ** 2) / freedom)
