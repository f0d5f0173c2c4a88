"""What does early stopping save, and what does it cost? Real learning curves under each rule, over many seeds."""

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
from benchmarks.sampling.tables import tables_folder
from nas.errors import UserError
from nas.stopping import STOPPING, StoppingRule, make_rule, next_promotion, rungs_of

__all__ = ["Curves", "End", "load_curves", "main", "measure", "replay"]

BUDGETS = (10, 30, 100)
"""Training times, in full trainings, after which the regret is recorded."""

CANDIDATES = 100
"""Number of candidates after which regret and training time are recorded."""


@dataclass(frozen=True)
class Curves:
    """Learning curves of a task.

    Attributes:
        family, name: names of the table and of the task.
        rungs: in the table's unit of training; the last one is a full training.
        scores: candidates x rungs, larger is better; NaN after divergence.
    """

    family: str
    name: str
    rungs: tuple[int, ...]
    scores: np.ndarray

    def regret(self, score: float) -> float:
        """Return the distance of a final score from the best one, in units of the median's distance."""
        final = self.scores[:, -1]
        best, median = np.nanmax(final), np.nanmedian(final)
        return float((best - score) / (best - median))

    def taus(self) -> list[float]:
        """Return Kendall's tau between each rung before the last and the final scores, without diverged candidates."""
        finite = self.scores[~np.isnan(self.scores).any(axis=1)]
        return [float(kendalltau(finite[:, k], finite[:, -1]).statistic) for k in range(len(self.rungs) - 1)]


@dataclass(frozen=True)
class End:
    """End of a candidate, or another end after it was resumed.

    Attributes:
        number: number of the candidate.
        cost: training time of all workers so far, in full trainings.
        score: final score, NaN if it was stopped or diverged.
        complete: whether its training is complete.
    """

    number: int
    cost: float
    score: float
    complete: bool


def load_curves(folder: Path) -> Iterator[Curves]:
    """Yield the learning curves of the tables in a folder, and report missing tables."""
    taskset, nasbench = folder / "taskset_rnn.parquet", folder / "nasbench201.parquet"
    for path in (taskset, nasbench):
        if not path.is_file():
            print(f"{path} does not exist: left out", flush=True)
    if taskset.is_file():
        rungs = rungs_of(50)  # of 51 points; point 0 is before the training
        for task, rows in pd.read_parquet(taskset).groupby("task", observed=True):
            losses = rows[[f"valid_loss_{rung}" for rung in rungs]].to_numpy(float)
            yield Curves("taskset_rnn", str(task), rungs, -losses)
    if nasbench.is_file():
        rows = pd.read_parquet(nasbench)
        for data in ("cifar10", "cifar100", "ImageNet16-120"):
            scores = rows[[f"ep12_{data}_val", f"{data}_val_mean"]].to_numpy(float)
            yield Curves("nasbench201", data, (12, 200), scores)


def replay(rule: StoppingRule, scores: np.ndarray, budget: float, workers: int = 1) -> list[End]:
    """Simulate the training of candidates, in order, within a budget.

    A worker that becomes free takes the next candidate, or resumes a stopped one that the rule promotes.

    Args:
        rule: the stopping rule.
        scores: candidates x rungs.
        budget: training time, in full trainings.
        workers: number of workers. All steps take the same time.
    """
    rungs, stopped = rule.rungs, {}
    running = [(rungs[0], number, 0) for number in range(min(workers, len(scores)))]
    next_number, ends = len(running), []
    while running:
        clock, number, k = heapq.heappop(running)
        cost = clock * workers / rungs[-1]
        if cost > budget:
            break
        score = float(scores[number, k])
        goes_on, last = rule.goes_on(number, rungs[k], score), k == len(rungs) - 1
        if goes_on and not last:
            heapq.heappush(running, (clock + rungs[k + 1] - rungs[k], number, k + 1))
            continue
        ends.append(End(number, cost, score if last else math.nan, last))
        if not last and not math.isnan(score):
            stopped[number] = rungs[k], score
        promoted = next_promotion(rule, stopped) if rule.promotes else None
        if promoted is not None:
            k = rungs.index(stopped.pop(promoted)[0])
            heapq.heappush(running, (clock + rungs[k + 1] - rungs[k], promoted, k + 1))
        elif next_number < len(scores):
            heapq.heappush(running, (clock + rungs[0], next_number, 0))
            next_number += 1
    return ends


def measure(name: str, curves: Curves, seed: int, workers: int = 1) -> dict[str, float | str | int]:
    """Replay a rule on a task, with its candidates in random order, and return its row."""
    # A different order for each task: TaskSet has the same settings in the same rows of all tasks.
    order = np.random.default_rng([seed, zlib.crc32(curves.name.encode())]).permutation(len(curves.scores))
    started = time.perf_counter()
    ends = replay(make_rule(name, curves.rungs, seed), curves.scores[order], max(BUDGETS), workers)
    seconds = time.perf_counter() - started
    numbers = list(dict.fromkeys(end.number for end in ends))
    # Until each of the first CANDIDATES has ended at least once.
    first = ends[: 1 + next((i for i, end in enumerate(ends) if end.number == numbers[:CANDIDATES][-1]), 0)]
    return {
        "rule": name,
        "family": curves.family,
        "task": curves.name,
        "seed": seed,
        "workers": workers,
        **{f"regret_{b}": _regret(curves, [end for end in ends if end.cost <= b]) for b in BUDGETS},
        "candidates": len(numbers),
        "complete": sum(end.complete for end in ends) / len(numbers),
        f"regret_{CANDIDATES}_candidates": _regret(curves, first) if len(numbers) >= CANDIDATES else math.nan,
        f"cost_{CANDIDATES}_candidates": first[-1].cost if len(numbers) >= CANDIDATES else math.nan,
        "ms_per_candidate": 1000 * seconds / len(numbers),
    }


def _regret(curves: Curves, ends: list[End]) -> float:
    """Return the regret of the best complete candidate, or 1, that of the median, if there is none."""
    scores = [end.score for end in ends if not math.isnan(end.score)]
    return curves.regret(max(scores)) if scores else 1.0


def summary(rows: pd.DataFrame) -> str:
    """Format means over tasks and seeds as Markdown: a table per family and number of workers, a row per rule."""
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
    """Format Kendall's tau of each rung, over all candidates of a task: a line per family."""
    lines = []
    for family in dict.fromkeys(c.family for c in tasks):
        of = [c for c in tasks if c.family == family]
        means = np.mean([c.taus() for c in of], axis=0)
        rungs = of[0].rungs
        texts = [f"{rung} of {rungs[-1]}: {tau:.2f}" for rung, tau in zip(rungs, means, strict=False)]
        lines.append(f"- {family}: rung " + ", rung ".join(texts))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stopping", description=__doc__)
    parser.add_argument("--rule", nargs="+", default=list(STOPPING), help=f"{', '.join(STOPPING)}  [all]")
    parser.add_argument("--seeds", type=at_least(1), default=20, help="number of seeds  [20]")
    parser.add_argument(
        "--workers",
        type=at_least(1),
        nargs="+",
        default=[1, 8],
        help="numbers of simulated asynchronous workers  [1 8]",
    )
    parser.add_argument("--tables", type=Path, help="folder of tables  [$NAS_BENCH_TABLES]")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "stopping.csv", help="CSV file to write, with .md beside it"
    )
    options = parser.parse_args(arguments)
    try:
        for name in options.rule:
            if name not in STOPPING:
                raise UserError(f"--rule {name}: unknown rule; choose from {', '.join(STOPPING)}")
        tasks = list(load_curves(tables_folder(options.tables)))
        if not tasks:
            raise UserError("the folder of tables contains no learning curves: give another one by --tables DIR")
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
    text = f"{summary(table)}\n\nKendall's tau between the scores at a rung and the final ones:\n\n{taus_text(tasks)}\n"
    print(text)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.assign(**about).to_csv(options.out, index=False, float_format="%.5g")
    head = f"# Early stopping\n\nMeans over tasks and seeds, {about['date']}. See ../README.md for the terms.\n\n"
    options.out.with_suffix(".md").write_text(head + text)


if __name__ == "__main__":
    main()
