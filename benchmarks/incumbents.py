"""Which sampler finds the better network where each is really trained: the best so far over seconds of training.

Each sampler searches the same space on the same data, from the same seeds, with the stopping rule of `nas-search`:

    python -m benchmarks.incumbents --data camvid:PATH --labels 1/8 --size 96x128

The runs are ordinary ones, `runs/incumbents-SAMPLER-SEED`. One that is there is not made again, one that was stopped
goes on.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.common.provenance import RESULTS, provenance
from benchmarks.common.sizes import height_and_width, size
from benchmarks.sampling.incumbent_table import write_report
from nas.api import resume, search
from nas.errors import UserError
from nas.runs.run import Run
from nas.space import find_space_file


def searched(sampler: str, seed: int, asked: dict[str, Any]) -> Run:
    """The finished run of a sampler and a seed.

    Raises:
        UserError: when the folder of that name holds a run with other settings.
    """
    name = f"incumbents-{sampler.replace(':', '-')}-{seed}"
    folder = Path("runs") / name
    if not folder.exists():
        return search(**asked, name=name, sampler=sampler, seed=seed)
    run = Run(folder)
    other = [key for key, value in asked.items() if value is not None and getattr(run.settings, key) != value]
    if other:
        raise UserError(f"{folder} is a run with another {', '.join(other)}: move it away")
    return run if (folder / "ranking.csv").exists() else resume(folder)


def spending(run: Run) -> pd.DataFrame:
    """A row a trained candidate, in the order in which they ended.

    `spent` is the training seconds of all so far, `incumbent` the best search-validation mIoU of those that were
    trained to their end.
    """
    ended = {trial.number: trial.datetime_complete for trial in run.study().get_trials(deepcopy=False)}
    frame = run.frame().reset_index()
    frame = frame[frame["seconds"].notna()]
    frame = frame.iloc[frame["trial"].map(ended).argsort(kind="stable")]
    best = frame["miou"].where(frame["outcome"] == "complete").cummax().ffill()
    return frame[["trial", "outcome", "miou", "seconds"]].assign(spent=frame["seconds"].cumsum(), incumbent=best)


def main() -> None:
    """Parse, search what is missing, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sampler", nargs="+", default=["surrogate", "random", "tpe"], metavar="NAME")
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--space", default="multitask.py")
    parser.add_argument("--budget", type=int, default=60, help="candidates")
    parser.add_argument("--data", default="scenes", help="as in nas-search, such as camvid:PATH")
    parser.add_argument("--labels")
    parser.add_argument("--size", type=size, help="HxW")
    parser.add_argument("--steps", type=int, help="of a full training; the default is that of nas-search")
    parser.add_argument("--workers", type=int, help="trainings at once; the default is that of nas-search")
    parser.add_argument("--out", type=Path, default=RESULTS / "incumbents.csv", help="a CSV file; .md and .html beside")
    options = parser.parse_args()
    asked = {name: getattr(options, name) for name in ("budget", "data", "labels", "size", "steps", "workers")}
    try:
        # Who wins is not asked here, only what the search itself came to: no repeats.
        asked |= {"space": str(find_space_file(options.space)), "best": 1, "repeats": 1}
        if options.size:
            asked["size"] = height_and_width(options.size)
        about = provenance("torch", "optuna", "fewlabel-nas")
        found = []
        for seed, sampler in itertools.product(options.seed, options.sampler):
            run = searched(sampler, seed, asked)
            found.append(spending(run).assign(sampler=sampler, seed=seed, steps=run.settings.steps))
            table = pd.concat(found, ignore_index=True).assign(data=options.data.split(":")[0], **about)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(options.out, index=False, float_format="%.4f")
        print(write_report(options.out))
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
