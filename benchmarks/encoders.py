"""What are pretrained encoders worth? Encoders from ImageNet and from random weights against the U-Net of multitask.py.

    python -m benchmarks.encoders --data camvid:PATH --weights-dir DIR --labels 1/8 --size 96x128 --steps 345 2000
    python -m benchmarks.encoders --data camvid:PATH --weights-dir DIR --seed 3 --rate 0.03 0.1 0.3 1    # choose rates
    python -m benchmarks.encoders --report

DIR holds the ImageNet weights of MobileNetV2 and EfficientNet-Lite0. All recipes have the decoder, loss, optimizer and
augmentation of `mobilenet` in pretrained.py, but for the U-Net. Seeds are paired. Each training is a row of
results/encoders.csv, appended as soon as it ends and not repeated.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from benchmarks.common.arguments import at_least
from benchmarks.common.provenance import RESULTS, default_device, provenance
from benchmarks.common.rows import Row, append_row, recorded_keys, run_jobs
from benchmarks.common.sizes import height_and_width, size
from benchmarks.training.encoder_table import write_table
from nas import ClassMix, Recipe, Timm
from nas.errors import UserError
from nas.search_spaces.multitask import unet
from nas.search_spaces.pretrained import mobilenet
from nas.tasks.data import FewLabelData, load_data
from nas.training import Plan, evaluate, train
from nas.weights_folder import weights_from

__all__ = ["RATES", "RECIPES", "Cell", "recipe_of", "train_cell"]

NETWORKS = {"mobilenet": "mobilenetv2_100", "lite0": "tf_efficientnet_lite0"}
RATES = {"mobilenet": 0.3, "lite0": 0.3}
"""Learning rate of each encoder from ImageNet, as a share of the decoder's: the best of 0.03, 0.1, 0.3 and 1 on the
search validation images, with a seed that the tables do not use."""

RECIPES = ("unet", *(f"{network}{kind}" for network in NETWORKS for kind in ("-random", "", "-classmix")))


@dataclass(frozen=True)
class Cell:
    """A training to measure. `rate` is 1 where the encoder starts from random weights."""

    recipe: str
    rate: float
    labels: str
    size: str
    steps: int
    seed: int


KEY = [field.name for field in fields(Cell)]
MEASURED = ["search_val", "test", "step_s", "peak_mb"]
COLUMNS = [*KEY, *MEASURED, "machine", "device", "versions", "date", "commit"]


def recipe_of(cell: Cell) -> Recipe:
    """Return the recipe of a cell."""
    if cell.recipe == "unet":
        return unet
    network, _, kind = cell.recipe.partition("-")
    weights = None if kind == "random" else "imagenet"
    recipe = replace(mobilenet, encoder=Timm(NETWORKS[network], weights=weights, rate=cell.rate))
    return replace(recipe, method=ClassMix()) if kind == "classmix" else recipe


def train_cell(cell: Cell, spec: str) -> Row:
    """Train and score, and return a row of the table."""
    torch.set_num_threads(1)
    data, device = load(spec, cell.labels, cell.size), default_device()
    trained = train(recipe_of(cell), data, Plan(cell.steps, (cell.steps,), cell.seed, device))
    test = evaluate(trained.network, data.test, len(data.classes), torch.device(device))
    return {
        **asdict(cell),
        "search_val": round(trained.scores.miou, 4),
        "test": round(test.miou, 4),
        "step_s": round(trained.step_seconds, 4),
        "peak_mb": round(trained.peak_mb),
    }


@lru_cache(maxsize=1)
def load(spec: str, labels: str, size: str) -> FewLabelData:
    """Load the data of a cell."""
    return load_data(spec, labels=labels, size=height_and_width(size), progress=False)


def cells(options: Any) -> list[Cell]:
    """List the trainings that the options ask for."""
    found = []
    for labels, size_, steps, seed, recipe in product(
        options.labels, options.size, options.steps, options.seed, options.recipe
    ):
        fixed = recipe == "unet" or recipe.endswith("-random")
        rates = [1.0] if fixed else options.rate or [RATES[recipe.partition("-")[0]]]
        found += [Cell(recipe, rate, labels, size_, steps, seed) for rate in rates]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="camvid:PATH")
    parser.add_argument("--weights-dir", type=Path, help="folder of ImageNet weights  [$NAS_WEIGHTS]")
    parser.add_argument("--recipe", choices=RECIPES, nargs="+", default=list(RECIPES))
    parser.add_argument("--rate", type=float, nargs="+", help="learning rates of encoders from ImageNet  [chosen ones]")
    parser.add_argument("--labels", nargs="+", default=["1/8"], help="shares of labels, such as 1/32 1/8")
    parser.add_argument("--size", type=size, nargs="+", default=["96x128"], help="HxW")
    parser.add_argument("--steps", type=at_least(1), nargs="+", default=[345, 2000])
    parser.add_argument("--seed", type=at_least(0), nargs="+", default=[0, 1, 2])
    parser.add_argument("--processes", type=at_least(1), default=1, help="parallel trainings, one thread each")
    parser.add_argument("--report", action="store_true", help="only write the Markdown table from the CSV file")
    parser.add_argument("--out", type=Path, default=RESULTS / "encoders.csv", help="CSV file, with .md beside it")
    options = parser.parse_args(arguments)
    if not options.report and not options.data:
        parser.error("give --data camvid:PATH, a folder of CamVid with split files for few labels")
    try:
        if not options.report:
            with weights_from(options.weights_dir):
                train_missing(options)
        print(write_table(options.out, RATES))
    except UserError as error:
        parser.error(str(error))


def train_missing(options: Any) -> None:
    """Train the cells that are missing in the table, and append their rows.

    Raises:
        UserError: the data or the weights cannot be read, or the table has other columns.
    """
    recorded = recorded_keys(options.out, COLUMNS, KEY)
    missing = [cell for cell in cells(options) if tuple(str(value) for value in asdict(cell).values()) not in recorded]
    about = provenance("torch", "timm", "fewlabel-nas")
    for row in run_jobs(partial(train_cell, spec=options.data), missing, options.processes):
        append_row(options.out, COLUMNS, {**row, **about})
        print(", ".join(f"{name} {row[name]}" for name in (*KEY, *MEASURED)), flush=True)


if __name__ == "__main__":
    main()
