"""How many trainings a sampler needs: tables of trained networks replayed, over many seeds."""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd

from benchmarks.common.arguments import at_least, pattern
from benchmarks.common.provenance import RESULTS, provenance
from benchmarks.common.rows import Row, append, known, measured
from benchmarks.sampling.controller_table import MARKS, RANKED, means_table, write_report
from benchmarks.sampling.peers import ExhaustedError, distributions_here
from benchmarks.sampling.searchers import Searcher, default_samplers, make_searcher
from benchmarks.sampling.tables import AS_KNOWN, DESCRIPTIONS, Reading, Table, folder_of_tables, load_table
from nas.errors import UserError

HOPELESS = 50
"""Invalid combinations an evaluation, after which a replay is given up."""

KEY = ("sampler", "table", "seed", "workers", "evaluations")
"""What tells one search from another."""

ABOUT = ("machine", "device", "versions", "date", "commit")

COLUMNS = (
    *KEY,
    *(f"regret_{mark}" for mark in MARKS),
    *(f"rank_{mark}" for mark in RANKED),
    "best",
    "rank",
    "to_best_0.1%",
    "invalid",
    "simulated_seconds",
    "ask_seconds",
    "slowest_ask_seconds",
    *ABOUT,
)


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
    searcher: Searcher, table: Table, evaluations: int, workers: int = 1, seed: int = 0, seconds: float = math.inf
) -> Replay:
    """Search a table. Combinations that it does not hold are told as failures at once, and are not counted.

    With several workers, each takes the next combination when it is done: after the table's seconds, or where it
    has none after a time drawn evenly from 0.5 to 1.5. What would end after so many `seconds` does not count.
    """
    clock, rng = 0.0, np.random.default_rng(seed)
    done = Replay([], [], [], 0)
    busy: list[tuple[float, int, Any, float]] = []
    while len(done.scores) < evaluations:
        while len(busy) < min(workers, evaluations - len(done.scores)) and len(done.asking) < HOPELESS * evaluations:
            started = time.perf_counter()
            try:
                places, handle = searcher.ask()
            except ExhaustedError:
                break
            done.asking.append(time.perf_counter() - started)
            if places in table.scores:
                took = table.seconds.get(places, 0.0)
                took = took if took > 0 else rng.uniform(0.5, 1.5)
                heapq.heappush(busy, (clock + took, len(done.asking), handle, table.scores[places]))
            else:
                searcher.tell(handle, None)
        if not busy or busy[0][0] > seconds:
            break
        clock, _, handle, score = heapq.heappop(busy)
        searcher.tell(handle, score)
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
    reading: Reading = AS_KNOWN
    seconds: float = math.inf

    @property
    def table(self) -> Table:
        """What is searched."""
        return loaded(self.path, self.target, self.reading)

    @property
    def key(self) -> tuple[str, ...]:
        """As the rows of the results hold it."""
        table = self.table.name
        return (self.sampler, table, str(self.seed), str(self.workers), str(self.evaluations))


@lru_cache(maxsize=16)
def loaded(path: Path, target: str | None, reading: Reading) -> Table:
    """A table, read once a process."""
    return load_table(path, target, reading)


def measure(job: Job) -> Row:
    """One row of the results: regrets and ranks of the best so far, evaluations to the best 0.1 %, seconds an ask."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = job.table
    searcher = make_searcher(job.sampler, table, job.seed, job.evaluations)
    found = replay(searcher, table, job.evaluations, job.workers, job.seed, job.seconds)
    if not found.scores:
        within = "" if math.isinf(job.seconds) else f" and that ends within {job.seconds:g} seconds"
        raise UserError(f"--sampler {job.sampler}: it proposed nothing that {table.name} holds{within}")
    best = np.maximum.accumulate(found.scores)
    reached = np.flatnonzero(best >= table.mark)

    def after(mark: int, number: Callable[[float], float]) -> float:
        return number(float(best[mark - 1])) if mark <= len(best) else math.nan

    return {
        "sampler": job.sampler,
        "table": table.name,
        "seed": job.seed,
        "workers": job.workers,
        "evaluations": job.evaluations,
        **{f"regret_{mark}": after(mark, table.regret) for mark in MARKS},
        **{f"rank_{mark}": after(mark, table.rank) for mark in RANKED},
        "best": float(best[-1]),
        "rank": table.rank(float(best[-1])),
        "to_best_0.1%": int(reached[0]) + 1 if len(reached) else job.evaluations + 1,
        "invalid": found.invalid,
        "simulated_seconds": found.simulated[-1],
        "ask_seconds": float(np.mean(found.asking)),
        "slowest_ask_seconds": float(np.max(found.asking)),
    }


def jobs_of(options: argparse.Namespace) -> list[Job]:
    """What is asked for: one replay, or with --all every known table that is there, for several seeds."""
    given: Sequence[str] = options.sampler
    shared = {"evaluations": options.evaluations, "workers": options.workers}
    if options.seconds and (options.all or options.out):
        raise UserError("--seconds is of a single replay, whose row is only printed: leave out --all and --out")
    if not options.all:
        if options.table is None:
            raise UserError("give --table FILE, or --all")
        path = Path(options.table)
        path = path if path.is_file() else folder_of_tables(options.tables) / path
        reading = Reading(options.parameters, options.ordered, options.minimise)
        seconds = options.seconds or math.inf
        return [
            Job(name, path, options.target, options.seed, **shared, reading=reading, seconds=seconds)
            for name in given or ["surrogate"]
        ]
    folder = folder_of_tables(options.tables)
    tables = [
        (path, target) for d in DESCRIPTIONS for path in sorted(folder.glob(d.file + "*")) for target in d.targets
    ]
    if not tables:
        raise UserError(f"{folder} holds none of the known tables")
    seeds = range(options.seed, options.seed + options.seeds)
    names = given or default_samplers()
    return [
        Job(name, path, target, seed, **shared)
        for seed, name, (path, target) in itertools.product(seeds, names, tables)
    ]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument(
        "--sampler",
        action="append",
        default=[],
        help="one or more of nas.samplers.SAMPLERS and benchmarks.sampling.peers.PEERS",
    )
    command.add_argument("--table", help="a file, or its name in the folder of tables")
    command.add_argument("--target", help="the column to search for")
    command.add_argument("--minimise", action="store_true", help="the target is better when smaller")
    command.add_argument(
        "--parameters", type=pattern, metavar="REGEX", help="the columns to choose; of a table that is not known"
    )
    command.add_argument("--ordered", type=pattern, metavar="REGEX", help="those among them whose values have an order")
    command.add_argument("--tables", type=Path, help="the folder of tables; or the environment's NAS_BENCH_TABLES")
    command.add_argument("--seed", type=at_least(0), default=0)
    command.add_argument("--evaluations", type=at_least(1), default=200)
    command.add_argument("--seconds", type=at_least(1), help="simulated, after which nothing counts")
    command.add_argument("--workers", type=at_least(1), default=1, help="simulated, asynchronous")
    command.add_argument(
        "--all", action="store_true", help="every known table, every sampler whose package is there, several seeds"
    )
    command.add_argument("--seeds", type=at_least(1), default=20, help="with --all")
    command.add_argument("--processes", type=at_least(1), default=1, help="searches at once")
    command.add_argument(
        "--out", type=Path, help="a CSV file that rows are added to  [results/controllers.csv with --all]"
    )
    command.add_argument("--report", action="store_true", help="only write the tables and the figure of the CSV file")
    return command


def jobs_to_run(options: argparse.Namespace, out: Path | None) -> list[Job]:
    """Those of the jobs whose row is not there yet.

    Raises:
        UserError: when a table, a sampler or its package is not there, or the rows are of another kind.
    """
    jobs = jobs_of(options)
    keys = [job.key for job in jobs]  # reads every table: a bad one is found before anything runs
    for name in options.sampler:
        make_searcher(name, jobs[0].table, 0)
    there = known(out, COLUMNS, KEY) if out is not None else set()
    return [job for job, key in zip(jobs, keys, strict=True) if key not in there]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, replay, print, write."""
    command = parser()
    options = command.parse_args(arguments)
    standard = RESULTS / "controllers.csv"
    out = options.out or (standard if options.all else None)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        if options.report:
            print(write_report(out or standard, options.evaluations, options.workers))
            return
        jobs = jobs_to_run(options, out)
        about = provenance("optuna", "scipy", "numpy", "fewlabel-nas", *distributions_here())
        rows = []
        for row in measured(measure, jobs, options.processes):
            rows.append(row)
            print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True)
            if out is not None:
                append(out, COLUMNS, row | about)
    except UserError as error:
        command.error(str(error))
    if rows:
        print("\n" + means_table(pd.DataFrame(rows)))
    else:
        print(f"nothing to do: {out} has every row")


if __name__ == "__main__":
    main()
