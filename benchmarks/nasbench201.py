"""The published protocol of NAS-Bench-201: 12,000 seconds of 12-epoch trainings, then test accuracy of the best cell.

A search observes the validation accuracy on CIFAR-10 after 12 epochs and pays for each training in simulated time. The
test accuracies of its best cell after full training are reported (Dong and Yang 2020, section 5).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import optuna
import pandas as pd

from benchmarks.common.arguments import at_least
from benchmarks.common.provenance import RESULTS, provenance
from benchmarks.common.rows import Row, append_row, recorded_keys, run_jobs
from benchmarks.sampling.peers import ExhaustedError, installed_distributions
from benchmarks.sampling.searchers import Searcher, make_searcher
from benchmarks.sampling.tables import Combination, Table, load_table, tables_folder
from nas.errors import UserError

TIME_LIMIT = 12_000.0
"""Simulated seconds."""

FILE = "nasbench201.parquet"
SIGNAL, COST = "ep12_cifar10_val", "ep12_cifar10_cost_s"
TESTS = ("cifar10_test_mean", "cifar100_test_mean", "ImageNet16-120_test_mean")

KEY = ("sampler", "seed")
COLUMNS = (*KEY, "evaluations", "seconds", SIGNAL, *TESTS, "machine", "device", "versions", "date", "commit")

PUBLISHED = {
    "random": ("93.70", "71.04", "44.57"),
    "regularized evolution": ("93.92", "71.84", "45.5"),
    "best with zero-cost proxies": ("94.36", "73.51", "46.34"),
    "optimum of the table": ("94.37", "73.51", "47.31"),
}
"""Published test accuracies in %."""


@dataclass(frozen=True)
class Protocol:
    """Data of the protocol.

    Attributes:
        table: validation accuracies and durations of the 12-epoch trainings.
        tests: test accuracies in %, in the order of TESTS.
    """

    table: Table
    tests: dict[Combination, tuple[float, ...]]


@dataclass(frozen=True)
class Outcome:
    """Outcome of a search.

    Attributes:
        best: the best combination.
        signal: its validation accuracy after 12 epochs.
        evaluations: number of trainings.
        seconds: simulated seconds.
    """

    best: Combination
    signal: float
    evaluations: int
    seconds: float


@lru_cache(maxsize=1)
def load_protocol(path: Path) -> Protocol:
    """Load the protocol's data from a file.

    Raises:
        UserError: if the file, a column or a combination is missing.
    """
    table = load_table(path, SIGNAL)
    columns = {column: load_table(path, column).scores for column in TESTS}
    # Loaded as a target to minimize, so the values are negative.
    costs = load_table(path, COST).scores
    if any(
        len(scores) != math.prod(map(len, table.values.values())) for scores in (table.scores, costs, *columns.values())
    ):
        raise UserError(f"{path.name}: the protocol needs every combination of {SIGNAL}, {COST} and {', '.join(TESTS)}")
    tests = {cell: tuple(columns[column][cell] for column in TESTS) for cell in table.scores}
    return Protocol(replace(table, seconds={cell: abs(cost) for cell, cost in costs.items()}), tests)


def search(searcher: Searcher, table: Table, limit: float = TIME_LIMIT) -> Outcome:
    """Search until the simulated time is used up or the searcher has no more proposals.

    A training that would end after the limit does not count. A repeated training costs its time again.

    Raises:
        UserError: if not even one training fits into the limit.
    """
    clock, evaluations = 0.0, 0
    best: tuple[float, Combination] | None = None
    while True:
        try:
            cell, handle = searcher.ask()
        except ExhaustedError:
            break
        if clock + table.seconds[cell] > limit:
            break
        clock, evaluations, score = clock + table.seconds[cell], evaluations + 1, table.scores[cell]
        searcher.tell(handle, score)
        if best is None or score > best[0]:
            best = score, cell
    if best is None:
        raise UserError(f"no training of {table.name} fits into {limit:g} seconds")
    return Outcome(best[1], best[0], evaluations, clock)


def measure(job: tuple[str, int, Path]) -> Row:
    """Run a search, given by sampler, seed and file, and return its row."""
    name, seed, path = job
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    protocol = load_protocol(path)
    expected_evaluations = int(TIME_LIMIT / np.mean(list(protocol.table.seconds.values())))
    found = search(make_searcher(name, protocol.table, seed, expected_evaluations), protocol.table)
    tests = dict(zip(TESTS, protocol.tests[found.best], strict=True))
    costs = {"evaluations": found.evaluations, "seconds": found.seconds, SIGNAL: found.signal}
    return {"sampler": name, "seed": seed, **costs, **tests}


def markdown(rows: pd.DataFrame) -> str:
    """Format means and standard deviations over seeds, with the published values."""
    lines = [
        "# NAS-Bench-201, published protocol",
        "",
        "Test accuracy in % of the cell with the best CIFAR-10 validation accuracy after 12 epochs, found within "
        f"{TIME_LIMIT:,.0f} simulated seconds: mean ± standard deviation over seeds.",
        "",
        "| sampler | seeds | trainings | CIFAR-10 | CIFAR-100 | ImageNet16-120 |",
        "|---|---|---|---|---|---|",
    ]
    means = rows.groupby("sampler")[TESTS[1]].mean().sort_values(ascending=False)
    for sampler in means.index:
        own = rows[rows["sampler"] == sampler]
        tests = " | ".join(f"{own[t].mean():.2f} ± {own[t].std():.2f}" for t in TESTS)
        lines.append(f"| {sampler} | {len(own)} | {own['evaluations'].mean():.0f} | {tests} |")
    lines += [f"| {name} (published) | | | {' | '.join(figures)} |" for name, figures in PUBLISHED.items()]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument(
        "--sampler", action="append", default=[], help="as in benchmarks.controllers; repeatable  [surrogate]"
    )
    command.add_argument("--seeds", type=at_least(1), default=100)
    command.add_argument("--tables", type=Path, help="folder of tables  [$NAS_BENCH_TABLES]")
    command.add_argument("--processes", type=at_least(1), default=1, help="number of parallel searches")
    command.add_argument(
        "--out", type=Path, default=RESULTS / "nasbench201.csv", help="CSV file, with the .md file beside it"
    )
    options = command.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        path = tables_folder(options.tables) / FILE
        table = load_protocol(path).table
        names = options.sampler or ["surrogate"]
        for name in names:
            make_searcher(name, table, 0)
        recorded = recorded_keys(options.out, COLUMNS, KEY)
        jobs = [(name, seed, path) for seed in range(options.seeds) for name in names]
        about = provenance("optuna", "scipy", "numpy", "fewlabel-nas", *installed_distributions())
        missing = [job for job in jobs if (job[0], str(job[1])) not in recorded]
        for row in run_jobs(measure, missing, options.processes):
            append_row(options.out, COLUMNS, row | about)
    except UserError as error:
        command.error(str(error))
    text = markdown(pd.read_csv(options.out))
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
