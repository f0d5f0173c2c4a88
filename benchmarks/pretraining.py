"""What does an encoder gain that `nas-pretrain` trained on the same images? A baseline with and without, on few labels.

The encoder is pretrained once. The baseline then trains from these weights and from random ones, with paired seeds, and
is scored on the images for ranking and on the test split.

    python -m benchmarks.pretraining --data camvid:PATH --encoder fast --pretext-steps 1500
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import nas
from benchmarks.common.arguments import at_least
from benchmarks.common.provenance import RESULTS, default_device, provenance
from benchmarks.common.rows import append_row, read_rows, recorded_keys
from benchmarks.common.sizes import height_and_width, size
from nas import Pretrained
from nas.errors import UserError
from nas.space import Recipe, load_space
from nas.tasks.data import FewLabelData, load_data
from nas.training import Plan, evaluate, train

__all__ = ["differences", "main"]

KEY = ["encoder", "pretext", "pretext_steps", "rate", "data", "labels", "size", "steps", "seed"]
SCORES = ["search_val", "test"]
COLUMNS = [*KEY, *SCORES, "seconds", "machine", "device", "versions", "date", "commit"]

RANDOM = {"pretext": "none", "pretext_steps": 0, "rate": 1.0}
"""The columns of a training from random weights."""


def baseline(name: str) -> Recipe:
    """Return a baseline of `multitask.py`.

    Raises:
        UserError: there is none of that name.
    """
    space = load_space("multitask.py")
    found = dict(zip(space.baseline_names, space.baselines, strict=True))
    if name not in found:
        raise UserError(f"--encoder {name}: choose from {', '.join(found)}")
    return found[name].candidate()


def pretrained(options: argparse.Namespace) -> Path:
    """Return the folder of the pretrained encoder; it is trained if there is none yet."""
    tasks = options.pretext.replace(",", "_").replace(":", "_")
    folder = Path("runs") / f"benchmark_{options.encoder}_{tasks}_{options.pretext_steps}"
    if not (folder / "best.safetensors").exists():
        nas.pretrain(
            encoder=options.encoder,
            pretext=None if options.pretext == "all" else options.pretext,
            steps=options.pretext_steps,
            data=options.data,
            labels=options.labels,
            size=options.size,
            name=folder.name,
        )
    return folder


def measure(recipe: Recipe, data: FewLabelData, steps: int, seed: int) -> dict[str, Any]:
    """Train a recipe and score it on both splits."""
    device = default_device()
    trained = train(recipe, data, Plan(steps, (steps,), seed, device))
    test = evaluate(trained.network, data.test, len(data.classes), torch.device(device))
    return {"search_val": trained.scores.miou, "test": test.miou, "seconds": trained.step_seconds * steps}


def differences(rows: pd.DataFrame) -> pd.DataFrame:
    """Subtract the scores from random weights from those of the same encoder, steps and seed.

    Returns:
        For each pretraining and rate: number of seeds, and for each split the mean difference in points of mIoU and its
        standard deviation over seeds.
    """
    same = ["encoder", "data", "labels", "size", "steps", "seed"]
    plain = rows[rows["pretext"] == RANDOM["pretext"]]
    paired = rows[rows["pretext"] != RANDOM["pretext"]].merge(
        plain[[*same, *SCORES]], on=same, suffixes=("", "_random")
    )
    for name in SCORES:
        paired[name] = 100 * (paired[name] - paired[f"{name}_random"])
    groups = paired.groupby([name for name in KEY if name != "seed"])
    spread = {f"{name} {how}": (name, how) for name in SCORES for how in ("mean", "std")}
    return groups.agg(seeds=("seed", "count"), **spread).round(2).reset_index()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="camvid:PATH")
    parser.add_argument("--encoder", default="fast", help="a baseline of multitask.py  [fast]")
    parser.add_argument("--pretext", default="all", help="tasks as for nas-pretrain  [all]")
    parser.add_argument("--pretext-steps", type=at_least(10), default=1500, help="steps of the pretraining  [1500]")
    parser.add_argument("--rate", type=float, nargs="+", default=[1.0], help="learning rates of the encoder  [1.0]")
    parser.add_argument("--labels", default="1/8", help="share or number of labels  [1/8]")
    parser.add_argument("--size", type=size, default="96x128", help="HxW")
    parser.add_argument("--steps", type=at_least(1), default=345, help="steps of each training  [345]")
    parser.add_argument("--seed", type=at_least(0), nargs="+", default=[0, 1, 2], help="seeds  [0 1 2]")
    parser.add_argument("--out", type=Path, default=RESULTS / "pretraining.csv", help="CSV file to append rows to")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        recipe = baseline(options.encoder)
        data = load_data(options.data, labels=options.labels, size=height_and_width(options.size), progress=False)
        recorded = recorded_keys(options.out, COLUMNS, KEY)
        folder = str(pretrained(options))
    except UserError as error:
        parser.error(str(error))
    common = {"encoder": options.encoder, "data": options.data.partition(":")[0], "labels": options.labels}
    common |= {"size": options.size, "steps": options.steps}
    starts = [(RANDOM, recipe)]
    for rate in options.rate:
        learnt = {"pretext": options.pretext, "pretext_steps": options.pretext_steps, "rate": rate}
        starts.append((learnt, replace(recipe, encoder=Pretrained(recipe.encoder, folder, rate=rate))))
    for seed in options.seed:
        for start, candidate in starts:
            row = {**common, **start, "seed": seed}
            if tuple(str(row[name]) for name in KEY) in recorded:
                continue
            row |= {name: round(value, 4) for name, value in measure(candidate, data, options.steps, seed).items()}
            append_row(options.out, COLUMNS, {**row, **provenance("torch", "fewlabel-nas")})
            print(
                f"{row['pretext']:12} rate {row['rate']:g} seed {seed}  search-val {row['search_val']:.3f}  "
                f"test {row['test']:.3f}  {row['seconds']:.0f} s",
                flush=True,
            )
    print(differences(read_rows(options.out)).to_string(index=False))


if __name__ == "__main__":
    main()
