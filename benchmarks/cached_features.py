"""How many more candidates can be tried if the features of a frozen encoder are cached, and what does it cost in mIoU?

The same candidates are trained with the whole encoder, with a frozen one, and on cached features of it, in turn:

    python -m benchmarks.cached_features --data camvid:PATH --weights-dir DIR
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch

from benchmarks.common.arguments import at_least
from benchmarks.common.provenance import RESULTS, default_device, provenance
from benchmarks.common.rows import Row, append_row, recorded_keys
from benchmarks.common.sizes import height_and_width, size
from nas.errors import UserError
from nas.models import ASPP, FPN, Timm
from nas.search_spaces.pretrained import mobilenet
from nas.space import Recipe
from nas.tasks.data import FewLabelData, load_data
from nas.training import AdamW, Plan, evaluate, train
from nas.training.feature_cache import FeatureCache
from nas.training.features import VIEWS
from nas.weights_folder import weights_from

__all__ = ["CANDIDATES", "TREATMENTS", "main"]

TABLE = RESULTS / "cached_features.csv"

CANDIDATES = {
    "unet": mobilenet,
    "aspp": replace(mobilenet, decoder=ASPP(width=64), optimizer=AdamW(lr=4e-3, weight_decay=0.05)),
    "fpn": replace(mobilenet, decoder=FPN(width=32), optimizer=AdamW(lr=1e-3, weight_decay=0.05)),
}

TREATMENTS: dict[str, Literal[0, "all", "cached"]] = {"everything": 0, "frozen": "all", "cached": "cached"}
"""What is trained, and the value of `frozen`."""

COLUMNS = (
    *("network", "candidate", "trained", "seed", "steps", "views", "data", "labels", "size"),
    *(
        "seconds",
        "cpu_seconds",
        "filling_seconds",
        "filling_cpu_seconds",
        "step_seconds",
        "peak_mb",
        "cache_mb",
        "validation_miou",
        "test_miou",
    ),
    *("machine", "device", "versions", "date", "commit"),
)


@dataclass(frozen=True)
class Setting:
    """Network, data and length of all trainings."""

    network: str
    data: str
    labels: str
    size: str
    steps: int

    def load(self) -> FewLabelData:
        """Load the images."""
        return load_data(self.data, labels=self.labels, size=height_and_width(self.size), progress=False)

    def recipe(self, candidate: str, trained: str) -> Recipe:
        """The recipe of a candidate with one of TREATMENTS."""
        frozen = TREATMENTS[trained]
        encoder = Timm(self.network, "imagenet", frozen=frozen, rate=1.0 if frozen else 0.2)
        return replace(CANDIDATES[candidate], encoder=encoder)


class TimedCache(FeatureCache):
    """A cache that also counts the CPU seconds of its filling, `cpu_seconds`."""

    cpu_seconds = 0.0

    def _fill(self, array: np.ndarray, blocks: Callable[[], Iterable[np.ndarray]]) -> None:
        started = time.process_time()
        super()._fill(array, blocks)
        self.cpu_seconds += time.process_time() - started


def measure(setting: Setting, candidate: str, trained: str, seed: int, images: FewLabelData, cache: TimedCache) -> Row:
    """Train a candidate and return its row. `seconds` are those of the whole training, without filling the cache."""
    device = default_device()
    filled, started = (cache.seconds, cache.cpu_seconds), (time.perf_counter(), time.process_time())
    result = train(
        setting.recipe(candidate, trained), images, Plan(setting.steps, (setting.steps,), seed, device), cache=cache
    )
    filling, filling_cpu = cache.seconds - filled[0], cache.cpu_seconds - filled[1]
    seconds, cpu_seconds = time.perf_counter() - started[0] - filling, time.process_time() - started[1] - filling_cpu
    tested = evaluate(result.network, images.test, len(images.classes), torch.device(device))
    return {
        **vars(setting),
        "candidate": candidate,
        "trained": trained,
        "seed": seed,
        "views": VIEWS,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "filling_seconds": round(filling, 2),
        "filling_cpu_seconds": round(filling_cpu, 2),
        "step_seconds": round(result.step_seconds, 4),
        "peak_mb": round(result.peak_mb),
        "cache_mb": round(cache.used / 1e6),
        "validation_miou": round(result.scores.miou, 4),
        "test_miou": round(tested.miou, 4),
        **provenance("torch"),
    }


def summary(rows: Sequence[Row]) -> pd.DataFrame:
    """Trainings in an hour and in an hour of CPU time, with and without filling the cache, and mean scores.

    Ratios are those to training everything.
    """
    table = pd.DataFrame(rows).groupby("trained", sort=False)
    columns = {"trainings": table.size()}
    for clock in ("", "cpu_"):
        training, filling = table[f"{clock}seconds"].sum(), table[f"filling_{clock}seconds"].sum()
        columns[f"{clock}filling_s"] = filling.round(1)
        for name, seconds in (("an_hour", training + filling), ("once_filled", training)):
            columns[f"{clock}{name}"] = (3600 * table.size() / seconds).round(1)
            columns[f"{clock}{name}_ratio"] = (seconds["everything"] / seconds).round(2)
    columns |= {score: table[score].mean().round(4) for score in ("validation_miou", "test_miou")}
    return pd.DataFrame(columns).T


def main(arguments: Sequence[str] | None = None) -> None:
    """Train all candidates in turn; print a summary and append a row per training to a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="KIND:PATH of the images")
    parser.add_argument("--weights-dir", help="folder of pretrained weights")
    parser.add_argument("--network", default="mobilenetv2_100", help="a network of timm  [mobilenetv2_100]")
    parser.add_argument(
        "--candidate", choices=CANDIDATES, nargs="+", default=list(CANDIDATES), help="candidates  [all]"
    )
    parser.add_argument("--labels", default="1/8", help="share of labels  [1/8]")
    parser.add_argument("--size", type=size, default="96x128", help="HxW  [96x128]")
    parser.add_argument("--steps", type=at_least(1), default=345, help="steps of a training  [345]")
    parser.add_argument("--seeds", type=at_least(1), default=1, help="number of seeds  [1]")
    parser.add_argument("--out", type=Path, default=TABLE, help="CSV file to append to")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    setting = Setting(options.network, options.data.partition(":")[0], options.labels, options.size, options.steps)
    rows: list[Row] = []
    try:
        recorded_keys(options.out, COLUMNS, ("candidate",))
        with weights_from(options.weights_dir), tempfile.TemporaryDirectory() as folder:
            images = replace(setting, data=options.data).load()
            setting.recipe("unet", "everything").encoder.check_weights()
            cache = TimedCache(Path(folder))
            for seed in range(options.seeds):
                for candidate in options.candidate:
                    for trained in TREATMENTS:
                        row = measure(setting, candidate, trained, seed, images, cache)
                        rows.append(row)
                        append_row(options.out, COLUMNS, row)
                        print(
                            f"seed {seed}  {candidate:5} {trained:11} {row['seconds']:6.1f} s, filling "
                            f"{row['filling_seconds']:5.1f} s, validation {row['validation_miou']:.3f}, "
                            f"test {row['test_miou']:.3f}",
                            flush=True,
                        )
    except UserError as error:
        parser.error(str(error))
    print(summary(rows).to_string())


if __name__ == "__main__":
    main()
