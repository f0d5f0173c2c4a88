"""How many trainings does a sampler need? Searches of tables of trained networks, over many seeds."""

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

from benchmarks.common.arguments import at_least, regex
from benchmarks.common.provenance import RESULTS, provenance
from benchmarks.common.rows import Row, append_row, recorded_keys, run_jobs
from benchmarks.sampling.controller_table import MARKS, RANKED, means_table, write_report
from benchmarks.sampling.peers import ExhaustedError, installed_distributions
from benchmarks.sampling.searchers import Searcher, default_samplers, make_searcher
from benchmarks.sampling.tables import DEFAULT_OPTIONS, DESCRIPTIONS, Table, TableOptions, load_table, tables_folder
from nas.errors import UserError

MAX_PROPOSALS = 50
"""Maximum number of proposals per evaluation, after which a search is abandoned."""

KEY = ("sampler", "table", "seed", "workers", "evaluations")
"""Columns that identify a search."""

PROVENANCE = ("machine", "device", "versions", "date", "commit")

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
    *PROVENANCE,
)


@dataclass(frozen=True)
class Replay:
    """Replay of a search on a table.

    Attributes:
        scores: of the evaluations, in the order in which they ended.
        ended_at: simulated seconds at which each evaluation ended.
        proposal_seconds: duration of each proposal, of evaluations and of invalid combinations.
        invalid: number of proposed combinations that the table does not contain.
    """

    scores: list[float]
    ended_at: list[float]
    proposal_seconds: list[float]
    invalid: int


def replay(
    searcher: Searcher, table: Table, evaluations: int, workers: int = 1, seed: int = 0, seconds: float = math.inf
) -> Replay:
    """Search a table. Invalid combinations are reported as failures at once and do not count as evaluations.

    Args:
        searcher: proposes the combinations.
        table: the table to search.
        evaluations: number of evaluations.
        workers: number of simulated workers, each of which takes the next combination as soon as it is free.
        seed: seed of the durations, uniform from 0.5 to 1.5, of evaluations for which the table has none.
        seconds: limit of the simulated time; evaluations that would end later do not count.
    """
    clock, rng = 0.0, np.random.default_rng(seed)
    scores: list[float] = []
    ended_at: list[float] = []
    proposal_seconds: list[float] = []
    running: list[tuple[float, int, Any, float]] = []
    while len(scores) < evaluations:
        free = min(workers, evaluations - len(scores))
        while len(running) < free and len(proposal_seconds) < MAX_PROPOSALS * evaluations:
            started = time.perf_counter()
            try:
                combination, handle = searcher.ask()
            except ExhaustedError:
                break
            proposal_seconds.append(time.perf_counter() - started)
            if combination in table.scores:
                duration = table.seconds.get(combination, 0.0)
                duration = duration if duration > 0 else rng.uniform(0.5, 1.5)
                heapq.heappush(running, (clock + duration, len(proposal_seconds), handle, table.scores[combination]))
            else:
                searcher.tell(handle, None)
        if not running or running[0][0] > seconds:
            break
        clock, _, handle, score = heapq.heappop(running)
        searcher.tell(handle, score)
        scores.append(score)
        ended_at.append(clock)
    return Replay(scores, ended_at, proposal_seconds, len(proposal_seconds) - len(scores) - len(running))


@dataclass(frozen=True)
class Job:
    """A search to measure."""

    sampler: str
    path: Path
    target: str | None
    seed: int
    evaluations: int
    workers: int
    options: TableOptions = DEFAULT_OPTIONS
    seconds: float = math.inf

    @property
    def table(self) -> Table:
        """The table to search."""
        return cached_table(self.path, self.target, self.options)

    @property
    def key(self) -> tuple[str, ...]:
        """Values of the KEY columns, as text."""
        table = self.table.name
        return (self.sampler, table, str(self.seed), str(self.workers), str(self.evaluations))


@lru_cache(maxsize=16)
def cached_table(path: Path, target: str | None, options: TableOptions) -> Table:
    """Load a table once per process."""
    return load_table(path, target, options)


def measure(job: Job) -> Row:
    """Measure a search: regrets and ranks of the best so far, evaluations to the best 0.1 %, seconds per proposal."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = job.table
    searcher = make_searcher(job.sampler, table, job.seed, job.evaluations)
    found = replay(searcher, table, job.evaluations, job.workers, job.seed, job.seconds)
    if not found.scores:
        within = "" if math.isinf(job.seconds) else f" and that ends within {job.seconds:g} seconds"
        raise UserError(f"--sampler {job.sampler} proposed no combination that {table.name} contains{within}")
    best = np.maximum.accumulate(found.scores)
    top = np.flatnonzero(best >= table.top_score)

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
        "to_best_0.1%": int(top[0]) + 1 if len(top) else job.evaluations + 1,
        "invalid": found.invalid,
        "simulated_seconds": found.ended_at[-1],
        "ask_seconds": float(np.mean(found.proposal_seconds)),
        "slowest_ask_seconds": float(np.max(found.proposal_seconds)),
    }


def requested_jobs(options: argparse.Namespace) -> list[Job]:
    """List the requested searches: of one table, or with --all of every known table in the folder for several seeds.

    Raises:
        UserError: if options are missing or contradict each other, or there is no table.
    """
    given: Sequence[str] = options.sampler
    shared = {"evaluations": options.evaluations, "workers": options.workers}
    if options.seconds and (options.all or options.out):
        raise UserError("--seconds is for a single search that is not saved: leave out --all and --out")
    if not options.all:
        if options.table is None:
            raise UserError("give --table FILE, or --all")
        path = Path(options.table)
        path = path if path.is_file() else tables_folder(options.tables) / path
        table_options = TableOptions(options.parameters, options.ordered, options.minimise)
        seconds = options.seconds or math.inf
        return [
            Job(name, path, options.target, options.seed, **shared, options=table_options, seconds=seconds)
            for name in given or ["surrogate"]
        ]
    folder = tables_folder(options.tables)
    tables = [
        (path, target) for d in DESCRIPTIONS for path in sorted(folder.glob(d.file + "*")) for target in d.targets
    ]
    if not tables:
        raise UserError(f"{folder} contains none of the known tables")
    seeds = range(options.seed, options.seed + options.seeds)
    names = given or default_samplers()
    return [
        Job(name, path, target, seed, **shared)
        for seed, name, (path, target) in itertools.product(seeds, names, tables)
    ]


def parser() -> argparse.ArgumentParser:
    """Create the argument parser."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument(
        "--sampler",
        action="append",
        default=[],
        help="one or more of nas.samplers.SAMPLERS and benchmarks.sampling.peers.PEERS",
    )
    command.add_argument("--table", help="a file, or its name in the folder of tables")
    command.add_argument("--target", help="column with the score")
    command.add_argument("--minimise", action="store_true", help="minimize the target")
    command.add_argument(
        "--parameters", type=regex, metavar="REGEX", help="parameter columns; for a table that is not known"
    )
    command.add_argument("--ordered", type=regex, metavar="REGEX", help="parameters with ordered values")
    command.add_argument("--tables", type=Path, help="folder of tables  [$NAS_BENCH_TABLES]")
    command.add_argument("--seed", type=at_least(0), default=0)
    command.add_argument("--evaluations", type=at_least(1), default=200)
    command.add_argument("--seconds", type=at_least(1), help="limit of the simulated time")
    command.add_argument("--workers", type=at_least(1), default=1, help="number of simulated asynchronous workers")
    command.add_argument("--all", action="store_true", help="every known table, every installed sampler, several seeds")
    command.add_argument("--seeds", type=at_least(1), default=20, help="number of seeds, with --all")
    command.add_argument("--processes", type=at_least(1), default=1, help="number of parallel searches")
    command.add_argument("--out", type=Path, help="CSV file to append rows to  [results/controllers.csv with --all]")
    command.add_argument("--report", action="store_true", help="only write tables and figure from the CSV file")
    return command


def missing_jobs(options: argparse.Namespace, out: Path | None) -> list[Job]:
    """List the requested searches that are not in the CSV file yet.

    Raises:
        UserError: if a table, a sampler or a package is missing, or the file has other columns.
    """
    jobs = requested_jobs(options)
    keys = [job.key for job in jobs]  # loads every table, so that a bad one is found before any search
    for name in options.sampler:
        make_searcher(name, jobs[0].table, 0)
    recorded = recorded_keys(out, COLUMNS, KEY) if out is not None else set()
    return [job for job, key in zip(jobs, keys, strict=True) if key not in recorded]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    command = parser()
    options = command.parse_args(arguments)
    standard = RESULTS / "controllers.csv"
    out = options.out or (standard if options.all else None)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        if options.report:
            print(write_report(out or standard, options.evaluations, options.workers))
            return
        jobs = missing_jobs(options, out)
        about = provenance("optuna", "scipy", "numpy", "fewlabel-nas", *installed_distributions())
        rows = []
        for row in run_jobs(measure, jobs, options.processes):
            rows.append(row)
            print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True)
            if out is not None:
                append_row(out, COLUMNS, row | about)
    except UserError as error:
        command.error(str(error))
    if rows:
        print("\n" + means_table(pd.DataFrame(rows)))
    else:
        print(f"nothing to do: {out} contains all rows")


if __name__ == "__main__":
    main()
