"""How much time do memory layout and precision save on this machine, and what do they cost in mIoU?

Compares steps with PyTorch's defaults (contiguous, full precision) with steps of the trainer, for each norm:

    python -m benchmarks.training_speed
    python -m benchmarks.training_speed --data camvid:PATH --norm batch group    # with the mIoU of whole trainings
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import torch

from benchmarks.common.provenance import RESULTS, default_device, provenance
from benchmarks.common.sizes import height_and_width, size
from benchmarks.training.method_costs import noise
from nas.errors import UserError
from nas.models import NORMS
from nas.search_spaces.multitask import fast
from nas.tasks.data import FewLabelData, load_data
from nas.training import Plan, Trained, train

TABLE = RESULTS / "training_speed.csv"
STEPS, ROUNDS = 8, 4
PYTORCH_DEFAULTS = {
    "nas.training.trainer.autocast": lambda device: nullcontext(),
    "nas.training.trainer.memory_layout": lambda network, device: torch.contiguous_format,
    "nas.training.evaluate.memory_layout": lambda network, device: torch.contiguous_format,
}


@dataclass(frozen=True)
class Data:
    """Training data: noise if there is no spec."""

    spec: str | None
    labels: str
    size: str

    def load(self) -> FewLabelData:
        """Load the images."""
        height, width = height_and_width(self.size)
        if self.spec is None:
            return noise(height, width)
        return load_data(self.spec, labels=self.labels, size=(height, width), progress=False)


def train_unet(norm: str, defaults: bool, data: FewLabelData, plan: Plan) -> Trained:
    """Train the small U-Net of multitask.py with a norm, with PyTorch's defaults or as the trainer does."""
    with ExitStack() as stack:
        for name, replacement in PYTORCH_DEFAULTS.items() if defaults else ():
            stack.enter_context(patch(name, replacement))
        return train(replace(fast, norm=norm), data, plan)


def peak(norm: str, defaults: bool, data: Data) -> float:
    """Return the peak memory of a training in MB. Call it in a new process, since the peak is that of the process."""
    torch.set_num_threads(1)
    return train_unet(norm, defaults, data.load(), Plan(STEPS, (STEPS,), device=default_device())).peak_mb


def measure(norm: str, data: Data, steps: int, seeds: int) -> dict[str, float | str]:
    """Measure a norm and return its row; times are minima over several rounds, in which the two alternate."""
    images, seconds = data.load(), {True: float("inf"), False: float("inf")}
    for _ in range(ROUNDS):
        for defaults in seconds:
            step = train_unet(norm, defaults, images, Plan(STEPS, (STEPS,), device=default_device())).step_seconds
            seconds[defaults] = min(seconds[defaults], step)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        default_peak, trainer_peak = (pool.submit(peak, norm, defaults, data).result() for defaults in (True, False))
    row: dict[str, float | str] = {
        "norm": norm,
        "default_step_s": seconds[True],
        "step_s": seconds[False],
        "times_faster": seconds[True] / seconds[False],
        "default_peak_mb": default_peak,
        "peak_mb": trainer_peak,
    }
    if data.spec is not None:
        plans = [Plan(steps, (steps,), seed, default_device()) for seed in range(seeds)]
        for name, defaults in (("default_miou", True), ("miou", False)):
            scores = [train_unet(norm, defaults, images, plan).scores.miou for plan in plans]
            row |= {name: sum(scores) / seeds, f"{name}_by_seed": " ".join(f"{score:.3f}" for score in scores)}
    return row


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--norm", choices=NORMS, nargs="+", default=list(NORMS), help="norms  [all]")
    parser.add_argument("--size", type=size, default="96x128", help="HxW")
    parser.add_argument("--data", help="KIND:PATH to train on  [noise, without mIoU]")
    parser.add_argument("--labels", default="1/8", help="share of labels")
    parser.add_argument("--steps", type=int, default=345, help="steps of a whole training  [345]")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds  [3]")
    parser.add_argument("--out", type=Path, default=TABLE, help="CSV file to write")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    data = Data(options.data, options.labels, options.size)
    try:
        data.load()
    except UserError as error:
        parser.error(str(error))
    rows = [measure(norm, data, options.steps, options.seeds) for norm in options.norm]
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="{:.3f}".format))
    table.assign(size=options.size, **provenance("torch")).to_csv(options.out, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
