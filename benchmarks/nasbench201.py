"""The published protocol of NAS-Bench-201: 12,000 seconds of 12-epoch trainings, then the test accuracy of the pick.

Dong and Yang 2020 (NAS-Bench-201), section 5: a search sees the validation accuracy on CIFAR-10 after 12 epochs and
pays for each training; its pick is the best one seen, of which the fully trained test accuracies are reported.
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
from benchmarks.common.rows import Row, append, known, measured
from benchmarks.sampling.peers import ExhaustedError, distributions_here
from benchmarks.sampling.searchers import Searcher, make_searcher
from benchmarks.sampling.tables import Places, Table, folder_of_tables, load_table
from nas.errors import UserError

LIMIT = 12_000.0
"""Seconds on the simulated clock."""

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
"""Test accuracy in %, not measured here."""


@dataclass(frozen=True)
class Protocol:
    """The table with its clock.

    Attributes:
        table: the signal, and the seconds of the 12-epoch trainings.
        tests: test accuracies in %, in the order of TESTS.
    """

    table: Table
    tests: dict[Places, tuple[float, ...]]


@dataclass(frozen=True)
class Pick:
    """What a search came to: the best seen, its signal, and the trainings and seconds that it took."""

    places: Places
    signal: float
    evaluations: int
    seconds: float


@lru_cache(maxsize=1)
def load_protocol(path: Path) -> Protocol:
    """The protocol of a table's file.

    Raises:
        UserError: when the file is not there, a column is missing, or a combination is.
    """
    table = load_table(path, SIGNAL)
    columns = {column: load_table(path, column).scores for column in TESTS}
    # Read as a target, so that its sign is that of something better when smaller.
    costs = load_table(path, COST).scores
    if any(
        len(scores) != math.prod(map(len, table.values.values())) for scores in (table.scores, costs, *columns.values())
    ):
        raise UserError(f"{path.name}: the protocol needs every combination of {SIGNAL}, {COST} and {', '.join(TESTS)}")
    tests = {places: tuple(columns[column][places] for column in TESTS) for places in table.scores}
    return Protocol(replace(table, seconds={places: abs(cost) for places, cost in costs.items()}), tests)


def search(searcher: Searcher, table: Table, limit: float = LIMIT) -> Pick:
    """Ask until the clock is up, or nothing more is proposed.

    A training that would end after the limit does not count; a repeated one costs again.

    Raises:
        UserError: when not even one training fits.
    """
    clock, evaluations = 0.0, 0
    best: tuple[float, Places] | None = None
    while True:
        try:
            places, handle = searcher.ask()
        except ExhaustedError:
            break
        if clock + table.seconds[places] > limit:
            break
        clock, evaluations, score = clock + table.seconds[places], evaluations + 1, table.scores[places]
        searcher.tell(handle, score)
        if best is None or score > best[0]:
            best = score, places
    if best is None:
        raise UserError(f"no training of {table.name} fits into {limit:g} seconds")
    return Pick(best[1], best[0], evaluations, clock)


def measure(job: tuple[str, int, Path]) -> Row:
    """One row of the results."""
    name, seed, path = job
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    protocol = load_protocol(path)
    fits = int(LIMIT / np.mean(list(protocol.table.seconds.values())))
    pick = search(make_searcher(name, protocol.table, seed, fits), protocol.table)
    tests = dict(zip(TESTS, protocol.tests[pick.places], strict=True))
    spent = {"evaluations": pick.evaluations, "seconds": pick.seconds, SIGNAL: pick.signal}
    return {"sampler": name, "seed": seed, **spent, **tests}


def markdown(rows: pd.DataFrame) -> str:
    """Means and standard deviations over the seeds, beside what is published."""
    lines = [
        "# NAS-Bench-201, its published protocol",
        "",
        f"Test accuracy in % of the best by 12-epoch CIFAR-10 validation within {LIMIT:,.0f} simulated seconds: mean ± "
        "standard deviation over seeds.",
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
    """Parse, search what is missing, print, write."""
    command = argparse.ArgumentParser(description="The published protocol of NAS-Bench-201.")
    command.add_argument("--sampler", action="append", default=[], help="one or more, as in benchmarks.controllers")
    command.add_argument("--seeds", type=at_least(1), default=100)
    command.add_argument("--tables", type=Path, help="the folder of tables; or the environment's NAS_BENCH_TABLES")
    command.add_argument("--processes", type=at_least(1), default=1, help="searches at once")
    command.add_argument("--out", type=Path, default=RESULTS / "nasbench201.csv", help="a CSV file; its .md beside it")
    options = command.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        path = folder_of_tables(options.tables) / FILE
        table = load_protocol(path).table
        names = options.sampler or ["surrogate"]
        for name in names:
            make_searcher(name, table, 0)
        there = known(options.out, COLUMNS, KEY)
        jobs = [(name, seed, path) for seed in range(options.seeds) for name in names]
        about = provenance("optuna", "scipy", "numpy", "fewlabel-nas", *distributions_here())
        for row in measured(measure, [job for job in jobs if (job[0], str(job[1])) not in there], options.processes):
            append(options.out, COLUMNS, row | about)
    except UserError as error:
        command.error(str(error))
    text = markdown(pd.read_csv(options.out))
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
