"""How many steps does a training with few labels need? Trainings of several lengths, each with its own schedule.

    python -m benchmarks.learning_floor --data blobs garments scenes camvid:PATH --labels 6 12 25 50
    python -m benchmarks.learning_floor --report

Each training is a row of results/learning_floor.csv, appended as soon as it ends and not repeated. For each data set
and number of labels, learning_floor.md shows from which step on the prediction has more than one class, which length is
better than the naive baselines, and which is within 5 % of the best.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import torch

from benchmarks.common.arguments import at_least
from benchmarks.common.provenance import RESULTS, provenance
from benchmarks.common.rows import Row, append_row, recorded_keys, run_jobs
from benchmarks.made_sets import HELD_OUT, MAKERS, make
from benchmarks.training.learning_floor_table import write_table
from nas.errors import UserError
from nas.search_spaces.multitask import fast
from nas.search_spaces.unet import space as unet
from nas.tasks.data import FewLabelData, ImageSet, load_data
from nas.tasks.naive import LOCATION_MAP, OTSU, naive_scores
from nas.training import VOID, Plan, evaluate, train

__all__ = ["Cell", "one_class_scores", "train_cell"]

LENGTHS = (40, 80, 160, 320, 640, 1280)
RECIPES = {"unet": unet, "fast": fast}
VALIDATION_STEPS = (5, 10, 20, 40, 80, 160, 320, 640)
"""Steps after which a longer training is validated."""

VALIDATION_IMAGES, TEST_IMAGES = 32, 96
"""Number of images for validation during the training, and for its final score."""

PIXELS = 48 * 64
"""Approximate number of pixels of an image: small, since there are some hundred trainings."""


@dataclass(frozen=True)
class Cell:
    """A training to measure."""

    data: str
    labels: int
    recipe: str
    steps: int
    seed: int


KEY = [field.name for field in fields(Cell)]
MEASURED = ["miou", "location", "otsu", "one_class_until", "above_location_at", "step_core_s", "curve", "size"]
COLUMNS = [*KEY, *MEASURED, "machine", "device", "versions", "date", "commit"]


def train_cell(cell: Cell, folder: str | None = None) -> Row:
    """Train and score, and return a row of the table.

    Args:
        cell: the training.
        folder: folder of the data set; None for a synthetic one.
    """
    torch.set_num_threads(1)
    data = load(cell.data, folder, cell.labels, cell.seed)
    classes = len(data.classes)
    curve: dict[int, float] = {}

    def report(step: int, miou: float) -> bool:
        curve[step] = miou
        return True

    rungs = (*(step for step in VALIDATION_STEPS if step < cell.steps), cell.steps)
    started = time.process_time()
    trained = train(RECIPES[cell.recipe], data, Plan(cell.steps, rungs, cell.seed), report)
    seconds = time.process_time() - started
    naive = naive_scores(data.labelled, data.test, classes)
    map_miou = naive_scores(data.labelled, data.validation, classes)[LOCATION_MAP]
    constant = one_class_scores(data.validation, classes)
    varied = [step for step, miou in curve.items() if min(abs(miou - score) for score in constant) > 1e-9]
    return {
        **asdict(cell),
        "miou": round(evaluate(trained.network, data.test, classes, torch.device("cpu")).miou, 4),
        "location": round(naive[LOCATION_MAP], 4),
        "otsu": round(naive[OTSU], 4) if OTSU in naive else None,
        "one_class_until": max((step for step in curve if step not in varied), default=0),
        "above_location_at": next((step for step, miou in curve.items() if miou > map_miou), None),
        "step_core_s": round(seconds / cell.steps, 4),
        "curve": json.dumps({step: round(miou, 4) for step, miou in curve.items()}),
        "size": "x".join(map(str, data.size)),
    }


def one_class_scores(split: ImageSet, classes: int) -> list[float]:
    """Return the mIoU of each prediction that has the same class everywhere."""
    assert split.masks is not None
    counts = torch.bincount(torch.from_numpy(split.masks).flatten().long(), minlength=VOID + 1)[:classes].tolist()
    present = sum(count > 0 for count in counts)
    return [count / sum(counts) / (present + (count == 0)) for count in counts]


@lru_cache(maxsize=4)
def load(name: str, folder: str | None, labels: int, seed: int) -> FewLabelData:
    """Load a data set with a number of labelled images and no unlabelled ones."""
    if name in MAKERS:
        maker = MAKERS[name]
        shown = _working_size(maker.size)
        few = make(name, range(labels), seed=seed, shown=shown)
        others = _held_out(name, shown)
        palette = ((0, 0, 0),) * len(maker.classes)
        validation = _part(others, slice(VALIDATION_IMAGES))
        test = _part(others, slice(VALIDATION_IMAGES, None))
        return FewLabelData(name, maker.classes, palette, few, _no_images(few), validation, test)
    spec = name if folder is None else f"{name}:{folder}"
    data = load_data(spec, labels=str(labels), size=(48, 64), seed=seed, progress=False)
    # Evenly spaced over the split: neighbouring frames of a film are similar.
    validation, test = (
        _part(split, slice(None, None, max(len(split) // count, 1)))
        for split, count in ((data.validation, VALIDATION_IMAGES), (data.test, TEST_IMAGES))
    )
    return FewLabelData(
        data.name, data.classes, data.palette, data.labelled, _no_images(data.labelled), validation, test
    )


@lru_cache
def _held_out(name: str, shown: tuple[int, int]) -> ImageSet:
    return make(name, range(HELD_OUT, HELD_OUT + VALIDATION_IMAGES + TEST_IMAGES), shown=shown)


def _working_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return a size with the same proportions and about PIXELS pixels, in multiples of 8."""
    scale = (PIXELS / (size[0] * size[1])) ** 0.5
    return round(size[0] * scale / 8) * 8, round(size[1] * scale / 8) * 8


def _part(split: ImageSet, part: slice) -> ImageSet:
    assert split.masks is not None
    return ImageSet(split.images[part], split.masks[part], split.names[part])


def _no_images(split: ImageSet) -> ImageSet:
    return ImageSet(split.images[:0], None, ())


@dataclass(frozen=True)
class _Job:
    """A cell with the folder of its data set, for another process."""

    cell: Cell
    folder: str | None

    def row(self) -> Row:
        return train_cell(self.cell, self.folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", nargs="+", default=["blobs", "garments", "scenes"], help="synthetic sets, or KIND:PATH"
    )
    parser.add_argument("--labels", type=at_least(1), nargs="+", default=[6, 12, 25, 50, 100, 250], help="numbers")
    parser.add_argument("--recipe", choices=RECIPES, nargs="+", default=list(RECIPES))
    parser.add_argument("--steps", type=at_least(1), nargs="+", default=list(LENGTHS))
    parser.add_argument("--seed", type=at_least(0), nargs="+", default=[0, 1])
    parser.add_argument("--processes", type=at_least(1), default=1, help="parallel trainings, one thread each")
    parser.add_argument("--report", action="store_true", help="only write the Markdown table from the CSV file")
    parser.add_argument("--out", type=Path, default=RESULTS / "learning_floor.csv", help="CSV file, with .md beside it")
    options = parser.parse_args(arguments)
    try:
        if not options.report:
            train_missing(options)
        print(write_table(options.out))
    except UserError as error:
        parser.error(str(error))


def train_missing(options: Any) -> None:
    """Train the cells that are missing in the table, and append their rows.

    Raises:
        UserError: if a data set cannot be read, or the table has other columns.
    """
    recorded = recorded_keys(options.out, COLUMNS, KEY)
    jobs = []
    for seed, labels, recipe, spec, steps in product(
        options.seed, options.labels, options.recipe, options.data, options.steps
    ):
        kind, _, folder = spec.partition(":")
        cell = Cell(kind, labels, recipe, steps, seed)
        if tuple(map(str, asdict(cell).values())) not in recorded:
            jobs.append(_Job(cell, folder or None))
    about = provenance("torch", "fewlabel-nas")
    for row in run_jobs(_Job.row, jobs, options.processes):
        append_row(options.out, COLUMNS, {**row, **about})
        print(", ".join(f"{name} {row[name]}" for name in (*KEY, *MEASURED[:6])), flush=True)


if __name__ == "__main__":
    main()
