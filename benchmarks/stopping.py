"""What early stopping saves and what it costs: real learning curves replayed under each rule, over many seeds."""

from __future__ import annotations

import argparse
import heapq
import math
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from benchmarks.common.arguments import at_least
from benchmarks.common.provenance import RESULTS, provenance
from benchmarks.sampling.tables import folder_of_tables
from nas.errors import UserError
from nas.stopping import STOPPING, StoppingRule, make_rule, next_promotion, rungs_of

__all__ = ["Curves", "End", "load_curves", "main", "measure", "replay"]

BUDGETS = (10, 30, 100)
"""Training time in full trainings, after which the regret is noted."""

CANDIDATES = 100
"""Candidates after which it is noted too, with the time they took."""


@dataclass(frozen=True)
class Curves:
    """One task: what each candidate scored at each rung.

    Attributes:
        family, name: of the table, and of the task in it.
        rungs: in the table's unit of training, the last one being a full training.
        scores: candidates x rungs, the larger the better; NaN once a training has run away.
    """

    family: str
    name: str
    rungs: tuple[int, ...]
    scores: np.ndarray

    def regret(self, score: float) -> float:
        """How far a final score is from the best, in units of the distance of the median."""
        final = self.scores[:, -1]
        best, median = np.nanmax(final), np.nanmedian(final)
        return float((best - score) / (best - median))

    def taus(self) -> list[float]:
        """Kendall's tau of each rung before the last with the final order, over all candidates that ran through."""
        through = self.scores[~np.isnan(self.scores).any(axis=1)]
        return [float(kendalltau(through[:, k], through[:, -1]).statistic) for k in range(len(self.rungs) - 1)]


@dataclass(frozen=True)
class End:
    """How one candidate ended, or ended once more after it was taken up again.

    Attributes:
        number: of the candidate.
        spent: training time of all workers until then, in full trainings.
        score: the final one, NaN if it was stopped or has none.
        complete: whether it was trained to its end.
    """

    number: int
    spent: float
    score: float
    complete: bool


def load_curves(folder: Path) -> Iterator[Curves]:
    """The learning curves of the tables that are there; of an absent one, that it is not."""
    taskset, nasbench = folder / "taskset_rnn.parquet", folder / "nasbench201.parquet"
    for path in (taskset, nasbench):
        if not path.is_file():
            print(f"{path} is not there: left out", flush=True)
    if taskset.is_file():
        rungs = rungs_of(50)  # point 0 of 51 is before training
        for task, rows in pd.read_parquet(taskset).groupby("task", observed=True):
            losses = rows[[f"valid_loss_{rung}" for rung in rungs]].to_numpy(float)
            yield Curves("taskset_rnn", str(task), rungs, -losses)
    if nasbench.is_file():
        rows = pd.read_parquet(nasbench)
        for data in ("cifar10", "cifar100", "ImageNet16-120"):
            scores = rows[[f"ep12_{data}_val", f"{data}_val_mean"]].to_numpy(float)
            yield Curves("nasbench201", data, (12, 200), scores)


def replay(rule: StoppingRule, scores: np.ndarray, budget: float, workers: int = 1) -> list[End]:
    """Train candidates in their order until the budget, in full trainings, is spent.

    Each worker takes the next candidate when its own has ended or was stopped, or one that was stopped and goes on
    after all, where the rule promotes. A step takes all the same time.
    """
    rungs, stopped = rule.rungs, {}
    busy = [(rungs[0], number, 0) for number in range(min(workers, len(scores)))]
    fresh, ends = len(busy), []
    while busy:
        clock, number, place = heapq.heappop(busy)
        spent = clock * workers / rungs[-1]
        if spent > budget:
            break
        score = float(scores[number, place])
        goes_on, last = rule.goes_on(number, rungs[place], score), place == len(rungs) - 1
        if goes_on and not last:
            heapq.heappush(busy, (clock + rungs[place + 1] - rungs[place], number, place + 1))
            continue
        ends.append(End(number, spent, score if last else math.nan, last))
        if not last and not math.isnan(score):
            stopped[number] = rungs[place], score
        again = next_promotion(rule, stopped) if rule.promotes else None
        if again is not None:
            place = rungs.index(stopped.pop(again)[0])
            heapq.heappush(busy, (clock + rungs[place + 1] - rungs[place], again, place + 1))
        elif fresh < len(scores):
            heapq.heappush(busy, (clock + rungs[0], fresh, 0))
            fresh += 1
    return ends


def measure(name: str, curves: Curves, seed: int, workers: int = 1) -> dict[str, float | str | int]:
    """One row of the results: a rule on a task, in one drawn order of its candidates."""
    # An order of its own for each task: TaskSet has the same settings in the same rows of each.
    order = np.random.default_rng([seed, zlib.crc32(curves.name.encode())]).permutation(len(curves.scores))
    started = time.perf_counter()
    ends = replay(make_rule(name, curves.rungs, seed), curves.scores[order], max(BUDGETS), workers)
    took = time.perf_counter() - started
    numbers = list(dict.fromkeys(end.number for end in ends))
    # Until the last of them has ended for the first time.
    first = ends[: 1 + next((i for i, end in enumerate(ends) if end.number == numbers[:CANDIDATES][-1]), 0)]
    return {
        "rule": name,
        "family": curves.family,
        "task": curves.name,
        "seed": seed,
        "workers": workers,
        **{f"regret_{b}": _regret(curves, [end for end in ends if end.spent <= b]) for b in BUDGETS},
        "candidates": len(numbers),
        "complete": sum(end.complete for end in ends) / len(numbers),
        f"regret_{CANDIDATES}_candidates": _regret(curves, first) if len(numbers) >= CANDIDATES else math.nan,
        f"spent_{CANDIDATES}_candidates": first[-1].spent if len(numbers) >= CANDIDATES else math.nan,
        "ms_a_candidate": 1000 * took / len(numbers),
    }


def _regret(curves: Curves, ends: list[End]) -> float:
    """Of the best complete one; of a middling network while there is none."""
    scores = [end.score for end in ends if not math.isnan(end.score)]
    return curves.regret(max(scores)) if scores else 1.0


def summary(rows: pd.DataFrame) -> str:
    """Markdown: for each family and number of workers a row a rule, means over tasks and seeds."""
    about = ("rule", "family", "task", "seed", "workers")
    columns = [str(c) for c in rows if c not in about and pd.api.types.is_numeric_dtype(rows[c])]
    parts = []
    for (family, workers), group in rows.groupby(["family", "workers"], sort=False):
        means = group.groupby("rule", sort=False)[columns].mean()
        lines = [
            f"{family}, {workers} worker{'s' if workers != 1 else ''}, {group['task'].nunique()} tasks x "
            f"{group['seed'].nunique()} seeds:\n",
            "| rule | " + " | ".join(c.replace("_", " ") for c in columns) + " |",
            "|---" * (len(columns) + 1) + "|",
        ]
        for name, row in zip(means.index, means.to_numpy(), strict=True):
            lines.append(
                f"| {name} | " + " | ".join("-" if math.isnan(number) else f"{number:.3g}" for number in row) + " |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def taus_text(tasks: Sequence[Curves]) -> str:
    """A line a family: how truly its rungs rank, over all candidates of a task."""
    lines = []
    for family in dict.fromkeys(c.family for c in tasks):
        of = [c for c in tasks if c.family == family]
        means = np.mean([c.taus() for c in of], axis=0)
        rungs = of[0].rungs
        texts = [f"{rung} of {rungs[-1]}: {tau:.2f}" for rung, tau in zip(rungs, means, strict=False)]
        lines.append(f"- {family}: rung " + ", rung ".join(texts))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, replay, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stopping", description=__doc__)
    parser.add_argument("--rule", nargs="+", default=list(STOPPING), help=f"of {', '.join(STOPPING)}  [all]")
    parser.add_argument("--seeds", type=at_least(1), default=20)
    parser.add_argument("--workers", type=at_least(1), nargs="+", default=[1, 8], help="simulated, asynchronous")
    parser.add_argument("--tables", type=Path, help="the folder of tables; or the environment's NAS_BENCH_TABLES")
    parser.add_argument("--out", type=Path, default=RESULTS / "stopping.csv", help="written anew, its .md beside it")
    options = parser.parse_args(arguments)
    try:
        for name in options.rule:
            if name not in STOPPING:
                raise UserError(f"--rule {name}: unknown rule; choose from {', '.join(STOPPING)}")
        tasks = list(load_curves(folder_of_tables(options.tables)))
        if not tasks:
            raise UserError("the folder of tables holds no learning curves: give another by --tables DIR")
    except UserError as error:
        parser.error(str(error))
    rows = [
        measure(name, curves, seed, workers)
        for workers in options.workers
        for name in options.rule
        for curves in tasks
        for seed in range(options.seeds)
    ]
    table, about = pd.DataFrame(rows), provenance("numpy", "scipy", "fewlabel-nas")
    text = f"{summary(table)}\n\nKendall's tau of a rung with the final order:\n\n{taus_text(tasks)}\n"
    print(text)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.assign(**about).to_csv(options.out, index=False, float_format="%.5g")
    head = f"# Early stopping\n\nMeans over tasks and seeds, {about['date']}. See ../README.md for the terms.\n\n"
    options.out.with_suffix(".md").write_text(head + text)


if __name__ == "__main__":
    main()
