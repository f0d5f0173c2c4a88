"""Time and memory of a step of each method and pretext task, relative to a supervised step of as many images."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.common.provenance import RESULTS, default_device, provenance
from benchmarks.common.sizes import height_and_width
from benchmarks.training.method_recipes import METHODS, recipe
from nas.search_spaces.unet import space as unet
from nas.space import Recipe
from nas.tasks.data import FewLabelData, ImageSet
from nas.training import Plan, train

__all__ = ["measure", "noise", "print_costs"]

COSTS = RESULTS / "method_costs.csv"

CLASSES = 11
STEPS, ROUNDS = 6, 3
BASE = "supervised, 16 labelled"
TOGETHER = "all pretext tasks"
LONGER = "all pretext tasks, 4 times the steps"


def print_costs(methods: Sequence[str], size: str, out: Path | None) -> None:
    """Measure and print the costs, and overwrite a CSV file: by default, only if all methods are measured."""
    table = measure(methods, size)
    print(table.to_string(index=False, float_format="{:.2f}".format))
    out = out or (COSTS if set(methods) >= set(METHODS) else None)
    if out is not None:
        table.assign(size=size, **provenance("torch")).to_csv(out, index=False, float_format="%.4f")


def measure(methods: Sequence[str], size: str) -> pd.DataFrame:
    """Measure seconds per step and peak MB of each method, and their ratios to supervised training.

    The network is that of search_spaces/unet.py. A step has 16 images, 8 of which are labelled. In the reference step,
    all 16 are labelled; the row "supervised" has 8 labelled images only. Times are minima over several rounds, each of
    which runs all methods, so that other load on the machine affects them equally. Memory is measured in a separate
    process per method.
    """
    torch.set_num_threads(1)
    height, width = height_and_width(size)
    data = noise(height, width)
    names = [BASE, *methods, *([TOGETHER] if set(methods) >= set(METHODS) else [])]
    seconds = {name: float("inf") for name in names}
    for _ in range(ROUNDS):
        for name in names:
            seconds[name] = min(seconds[name], _train(name, data, STEPS)["step_seconds"])
    if TOGETHER in names:
        names.append(LONGER)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        peaks = {name: pool.submit(_peak, name, height, width).result() for name in names}
    table = pd.DataFrame({"step_s": seconds, "peak_mb": peaks}).reindex(names).rename_axis("method")
    table.insert(1, "time_ratio", table["step_s"] / table["step_s"][BASE])
    return table.assign(memory_ratio=table["peak_mb"] / table["peak_mb"][BASE]).reset_index()


def _recipe(name: str) -> Recipe:
    """Return the recipe of a row: the U-Net at full resolution, trained with 16 images per step."""
    if name == BASE:
        return replace(unet, labelled_batch=16)
    tasks = [recipe(task).pretext[0] for task in METHODS if recipe(task).pretext]
    found = replace(recipe("supervised"), pretext=tuple(tasks)) if name in (TOGETHER, LONGER) else recipe(name)
    return replace(unet, method=found.method, pretext=found.pretext, labelled_batch=8, unlabelled_batch=8)


def _train(name: str, data: FewLabelData, steps: int) -> dict[str, Any]:
    trained = train(_recipe(name), data, Plan(steps, (steps,), device=default_device()))
    return {"step_seconds": trained.step_seconds, "peak_mb": trained.peak_mb}


def _peak(name: str, height: int, width: int) -> float:
    torch.set_num_threads(1)
    steps = 4 * STEPS if name == LONGER else STEPS
    return float(_train(name, noise(height, width), steps)["peak_mb"])


def noise(height: int, width: int) -> FewLabelData:
    """Create images and labels of noise: the cost of a step does not depend on the content."""
    rng = np.random.default_rng(0)

    def split(count: int, labelled: bool) -> ImageSet:
        images = rng.integers(0, 256, (count, height, width, 3), np.uint8)
        masks = rng.integers(0, CLASSES, (count, height, width), np.uint8) if labelled else None
        return ImageSet(images, masks, tuple(map(str, range(count))))

    names = tuple(f"class {i}" for i in range(CLASSES))
    colours = tuple((i, i, i) for i in range(CLASSES))
    return FewLabelData(
        name="noise",
        classes=names,
        palette=colours,
        labelled=split(32, True),
        unlabelled=split(32, False),
        validation=split(1, True),
        test=split(1, True),
    )
