"""What memory layout and precision save a training on this machine, and what they cost in mIoU.

A step as PyTorch takes it unasked (planar, full precision) against a step as the trainer takes it, for each norm:

    python -m benchmarks.training_speed
    python -m benchmarks.training_speed --data camvid:PATH --norm batch group    # with the mIoU of whole trainings
"""

from __future__ import annotations

import argparse
import multiprocessing
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
UNASKED = {
    "nas.training.trainer.autocast": lambda device: nullcontext(),
    "nas.training.trainer.memory_layout": lambda network, device: torch.contiguous_format,
    "nas.training.evaluate.memory_layout": lambda network, device: torch.contiguous_format,
}


@dataclass(frozen=True)
class Data:
    """What is trained on: noise of a size where there is no spec."""

    spec: str | None
    labels: str
    size: str

    def load(self) -> FewLabelData:
        """The images."""
        height, width = height_and_width(self.size)
        if self.spec is None:
            return noise(height, width)
        return load_data(self.spec, labels=self.labels, size=(height, width), progress=False)


def trained(norm: str, unasked: bool, data: FewLabelData, plan: Plan) -> Trained:
    """The small U-Net of multitask.py trained with a norm, as PyTorch does it unasked or as the trainer does."""
    with ExitStack() as stack:
        for name, instead in UNASKED.items() if unasked else ():
            stack.enter_context(patch(name, instead))
        return train(replace(fast, norm=norm), data, plan)


def peak(norm: str, unasked: bool, data: Data) -> float:
    """Peak MB of a process that trains nothing else."""
    torch.set_num_threads(1)
    return trained(norm, unasked, data.load(), Plan(STEPS, (STEPS,), device=default_device())).peak_mb


def measure(norm: str, data: Data, steps: int, seeds: int) -> dict[str, float | str]:
    """A row of the table; times are the least of several rounds in which the two take turns."""
    images, seconds = data.load(), {True: float("inf"), False: float("inf")}
    for _ in range(ROUNDS):
        for unasked in seconds:
            took = trained(norm, unasked, images, Plan(STEPS, (STEPS,), device=default_device())).step_seconds
            seconds[unasked] = min(seconds[unasked], took)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        before, after = (pool.submit(peak, norm, unasked, data).result() for unasked in (True, False))
    row: dict[str, float | str] = {
        "norm": norm,
        "unasked_step_s": seconds[True],
        "step_s": seconds[False],
        "times_faster": seconds[True] / seconds[False],
        "unasked_peak_mb": before,
        "peak_mb": after,
    }
    if data.spec is not None:
        plans = [Plan(steps, (steps,), seed, default_device()) for seed in range(seeds)]
        for name, unasked in (("unasked_miou", True), ("miou", False)):
            scores = [trained(norm, unasked, images, plan).scores.miou for plan in plans]
            row |= {name: sum(scores) / seeds, f"{name}_by_seed": " ".join(f"{score:.3f}" for score in scores)}
    return row


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--norm", choices=NORMS, nargs="+", default=list(NORMS))
    parser.add_argument("--size", type=size, default="96x128", help="HxW")
    parser.add_argument("--data", help="KIND:PATH to train on; noise, and no mIoU, without it")
    parser.add_argument("--labels", default="1/8", help="share of labels")
    parser.add_argument("--steps", type=int, default=345, help="of a whole training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=TABLE)
    options = parser.parse_args()
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
