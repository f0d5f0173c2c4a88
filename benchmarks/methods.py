"""How much do unlabelled images help? All methods and pretext tasks against supervised training, on CamVid.

All train the same small U-Net with the same loss and number of steps, with paired seeds. A cell is one method, share of
labels and seed:

    python -m benchmarks.methods --data camvid:PATH --method cutmix --labels 1/8 --seed 0
    python -m benchmarks.methods --data camvid:PATH            # all cells missing in results/methods.csv
    python -m benchmarks.methods --costs                       # time and memory of a step
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from benchmarks.common.arguments import at_least
from benchmarks.common.provenance import RESULTS, default_device, provenance
from benchmarks.common.sizes import height_and_width, size
from benchmarks.training.method_costs import print_costs
from benchmarks.training.method_recipes import METHODS, recipe
from benchmarks.training.method_table import write_tables
from nas.errors import UserError
from nas.pool.devices import cpu_count
from nas.tasks.data import FewLabelData, load_data
from nas.training import Plan, evaluate, train

STEPS, SIZE = 4000, "96x128"
RUNGS = 10
KEY = ["method", "labels", "seed", "steps", "size"]


@dataclass(frozen=True)
class Cell:
    """A training to measure."""

    method: str
    labels: str
    seed: int
    steps: int
    size: str


def train_cell(cell: Cell, spec: str) -> dict[str, Any]:
    """Train and score a cell, and return a row of the table."""
    torch.set_num_threads(1)
    data = load(spec, cell.labels, cell.size)
    device = default_device()
    curve: dict[int, float] = {}

    def report(step: int, miou: float) -> bool:
        curve[step] = round(miou, 4)
        return True

    rungs = tuple(cell.steps * i // RUNGS for i in range(1, RUNGS + 1))
    trained = train(recipe(cell.method), data, Plan(cell.steps, rungs, cell.seed, device), report)
    test = evaluate(trained.network, data.test, len(data.classes), torch.device(device))
    return {
        **asdict(cell),
        "search_val": trained.scores.miou,
        "test": test.miou,
        "seconds": trained.step_seconds * cell.steps,
        "peak_mb": trained.peak_mb,
        "curve": json.dumps(curve),
        "logs": json.dumps({name: round(value, 4) for name, value in trained.logs.items()}),
    }


def load(spec: str, labels: str, size: str) -> FewLabelData:
    """Load the data of a cell."""
    return load_data(spec, labels=labels, size=height_and_width(size), progress=False)


def missing(cells: list[Cell], table: Path) -> list[Cell]:
    """Return the cells that are missing in a table."""
    if not table.exists():
        return cells
    recorded = {tuple(row) for row in pd.read_csv(table)[KEY].astype(str).to_numpy().tolist()}
    return [cell for cell in cells if tuple(str(value) for value in asdict(cell).values()) not in recorded]


def run(cells: list[Cell], spec: str, jobs: int, table: Path) -> None:
    """Train cells in separate processes, and append each row to the table as soon as it is complete."""
    table.parent.mkdir(parents=True, exist_ok=True)
    about = provenance("torch", "fewlabel-nas")
    spawn = multiprocessing.get_context("spawn")
    # One process per cell, so that peak memory is that of the cell.
    with ProcessPoolExecutor(jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        futures = {pool.submit(train_cell, cell, spec): cell for cell in cells}
        for future in tqdm(as_completed(futures), total=len(cells), unit="cell", disable=not sys.stderr.isatty()):
            row = {**future.result(), **about}
            pd.DataFrame([row]).to_csv(table, mode="a", header=not table.exists(), index=False, float_format="%.4f")
            scores = f"search-val {row['search_val']:.3f}  test {row['test']:.3f}"
            print(
                f"{row['method']:13s} {row['labels']:4s} seed {row['seed']}  {scores}  {row['seconds']:.0f} s",
                flush=True,
            )


def table_of(kind: str, steps: int, size: str) -> Path:
    """Return the default table: a separate one for each data set, number of steps and size."""
    suffixes = [] if kind == "camvid" else [kind]
    suffixes += [] if (steps, size) == (STEPS, SIZE) else [str(steps), size]
    return RESULTS / f"{'_'.join(['methods', *suffixes])}.csv"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--method", choices=METHODS, nargs="+", default=list(METHODS), metavar="NAME", help=", ".join(METHODS)
    )
    parser.add_argument("--labels", nargs="+", default=["1/8"], help="shares of labels, such as 1/32 1/8")
    parser.add_argument("--seed", type=at_least(0), nargs="+", default=[0, 1, 2], help="seeds  [0 1 2]")
    parser.add_argument("--steps", type=at_least(1), default=STEPS, help=f"steps of a training  [{STEPS}]")
    parser.add_argument("--size", type=size, default=SIZE, help="HxW")
    parser.add_argument("--data", default=os.environ.get("NAS_CAMVID"), help="camvid:PATH  [$NAS_CAMVID]")
    parser.add_argument(
        "--jobs", type=at_least(1), help="parallel trainings, one thread each  [one per core; 1 on a GPU]"
    )
    parser.add_argument("--out", type=Path, help="CSV file to append rows to  [in results/]")
    parser.add_argument("--costs", action="store_true", help="only measure time and memory of a step")
    options = parser.parse_args(arguments)
    if options.costs:
        print_costs(options.method, options.size, options.out)
        return
    if not options.data:
        parser.error("give --data camvid:PATH, a folder of CamVid with split files for few labels")
    spec = options.data if ":" in options.data else f"camvid:{options.data}"
    kind = spec.partition(":")[0]
    table = options.out or table_of(kind, options.steps, options.size)
    requested = [
        Cell(method, labels, seed, options.steps, options.size)
        for labels in options.labels
        for seed in options.seed
        for method in options.method
    ]
    try:
        for labels in options.labels:
            load(spec, labels, options.size)
    except UserError as error:
        parser.error(str(error))
    jobs = options.jobs or (1 if default_device() == "cuda" else cpu_count())
    run(missing(requested, table), spec, jobs, table)
    print(write_tables(table, options.steps, options.size, kind))


if __name__ == "__main__":
    main()
