"""How many trainings a sampler needs: tables of trained networks replayed, over many seeds."""

from __future__ import annotations

import argparse
import heapq
import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import pandas as pd

from benchmarks.provenance import RESULTS, provenance
from benchmarks.tables import DESCRIPTIONS, Table, folder_of_tables, load_table
from nas.errors import UserError
from nas.search.samplers import make_sampler

MARKS = (25, 50, 100, 200)
"""Evaluations after which the regret is noted."""

HOPELESS = 50
"""Invalid combinations an evaluation, after which a replay is given up."""

PEERS = ("surrogate", "local", "evolution", "tpe", "random")


@dataclass(frozen=True)
class Replay:
    """One search of one table.

    Attributes:
        scores: of the evaluations, in the order in which they ended.
        simulated: seconds on the table's clock at which each ended.
        asking: seconds an ask took, one an evaluation or invalid combination.
        invalid: combinations that the table does not hold.
    """

    scores: list[float]
    simulated: list[float]
    asking: list[float]
    invalid: int


def replay(
    sampler: optuna.samplers.BaseSampler, table: Table, evaluations: int, workers: int = 1, seed: int = 0
) -> Replay:
    """Search a table. Combinations that it does not hold are told as failures at once, and are not counted.

    With several workers, each takes the next trial when it is done: after the table's seconds, or where it has
    none after a time drawn evenly from 0.5 to 1.5.
    """
    study = optuna.create_study(sampler=sampler, direction="maximize")
    clock, rng = 0.0, np.random.default_rng(seed)
    done = Replay([], [], [], 0)
    busy: list[tuple[float, int, optuna.Trial, float]] = []
    while len(done.scores) < evaluations:
        while len(busy) < min(workers, evaluations - len(done.scores)) and len(done.asking) < HOPELESS * evaluations:
            started = time.perf_counter()
            trial = study.ask()
            key = table.ask(trial)
            done.asking.append(time.perf_counter() - started)
            if key in table.scores:
                took = table.seconds.get(key) or rng.uniform(0.5, 1.5)
                heapq.heappush(busy, (clock + took, trial.number, trial, table.scores[key]))
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
        if not busy:
            break
        clock, _, trial, score = heapq.heappop(busy)
        study.tell(trial, score)
        done.scores.append(score)
        done.simulated.append(clock)
    return Replay(done.scores, done.simulated, done.asking, len(done.asking) - len(done.scores) - len(busy))


@dataclass(frozen=True)
class Job:
    """What one process is to measure."""

    sampler: str
    path: Path
    target: str | None
    seed: int
    evaluations: int
    workers: int


def measure(job: Job) -> dict[str, float | str | int]:
    """One row of the results: regrets, evaluations to the best 0.1 %, and seconds an ask."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = load_table(job.path, job.target)
    found = replay(make_sampler(job.sampler, job.seed), table, job.evaluations, job.workers, job.seed)
    best = np.maximum.accumulate(found.scores)
    reached = np.flatnonzero(best >= table.mark)
    return {
        "sampler": job.sampler,
        "table": table.name,
        "seed": job.seed,
        "workers": job.workers,
        "evaluations": len(best),
        **{f"regret_{m}": table.regret(best[m - 1]) for m in MARKS if m <= len(best)},
        "best": float(best[-1]),
        "rank": int((table.sorted_scores > best[-1]).sum()) + 1,
        "to_best_0.1%": int(reached[0]) + 1 if len(reached) else job.evaluations + 1,
        "invalid": found.invalid,
        "simulated_seconds": found.simulated[-1],
        "ask_seconds": float(np.mean(found.asking)),
        "slowest_ask_seconds": float(np.max(found.asking)),
    }


def summary(rows: pd.DataFrame) -> str:
    """A Markdown table: a row a sampler, means over tables and seeds."""
    regrets = [f"regret_{mark}" for mark in MARKS if f"regret_{mark}" in rows]
    columns = [*regrets, "to_best_0.1%", "invalid", "ask_seconds"]
    means = rows.groupby("sampler")[columns].mean().sort_values("to_best_0.1%")
    lines = [
        "| sampler | " + " | ".join(c.replace("_", " ") for c in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name, row in zip(means.index, means.to_numpy(), strict=True):
        lines.append(f"| {name} | " + " | ".join(f"{number:.4g}" for number in row) + " |")
    return "\n".join(lines)


def jobs_of(options: argparse.Namespace, folder: Path) -> list[Job]:
    """What is asked for: one replay, or with --all every known table that is there, for several seeds."""
    given: Sequence[str] = options.sampler
    shared = {"evaluations": options.evaluations, "workers": options.workers}
    if not options.all:
        if options.table is None:
            raise UserError("give --table FILE, or --all")
        path = Path(options.table)
        path = path if path.is_file() else folder / path
        return [Job(name, path, options.target, options.seed, **shared) for name in given or ["surrogate"]]
    known = [(path, target) for d in DESCRIPTIONS for path in sorted(folder.glob(d.file + "*")) for target in d.targets]
    if not known:
        raise UserError(f"{folder} holds none of the known tables")
    seeds = range(options.seed, options.seed + options.seeds)
    return [
        Job(name, path, target, seed, **shared)
        for seed, name, (path, target) in itertools.product(seeds, given or PEERS, known)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, replay, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampler", action="append", default=[], help="one or more of nas.search.samplers.SAMPLERS")
    parser.add_argument("--table", help="a file, or its name in the folder of tables")
    parser.add_argument("--target", help="the column to search for")
    parser.add_argument("--tables", type=Path, help="the folder of tables; or the environment's NAS_BENCH_TABLES")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1, help="simulated, asynchronous")
    parser.add_argument("--all", action="store_true", help="every known table, samplers and seeds")
    parser.add_argument("--seeds", type=int, default=20, help="with --all")
    parser.add_argument("--processes", type=int, default=1, help="with --all")
    parser.add_argument(
        "--out", type=Path, help="a CSV file that rows are added to  [results/controllers.csv with --all]"
    )
    options = parser.parse_args(arguments)
    try:
        folder = folder_of_tables(options.tables)
        jobs = jobs_of(options, folder)
        for name in options.sampler:
            make_sampler(name, 0)
        for path, target in {(job.path, job.target) for job in jobs}:
            load_table(path, target)
    except UserError as error:
        parser.error(str(error))
    out = options.out or (RESULTS / "controllers.csv" if options.all else None)
    about = provenance("optuna", "scipy", "numpy", "fewlabel-nas")
    rows = []
    with ProcessPoolExecutor(options.processes) as pool:
        for row in pool.map(measure, jobs) if options.processes > 1 else map(measure, jobs):
            rows.append(row)
            print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True)
            if out is not None:
                out.parent.mkdir(parents=True, exist_ok=True)
                pd.DataFrame([row | about]).to_csv(out, mode="a", header=not out.exists(), index=False)
    print("\n" + summary(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
