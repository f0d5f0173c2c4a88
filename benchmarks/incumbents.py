"""Which sampler finds the best network in real searches? The incumbent over training time.

Each sampler searches the same space on the same data, with the same seeds and the stopping rule of `nas-search`:

    python -m benchmarks.incumbents --data camvid:PATH --labels 1/8 --size 96x128

Each search is a run, `runs/incumbents-SAMPLER-SEED`. Finished runs are reused, interrupted ones are resumed.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
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


def finished_run(sampler: str, seed: int, settings: dict[str, Any]) -> Run:
    """Return the finished run of a sampler and seed; search, resume or reuse it.

    Raises:
        UserError: if its folder holds a run with other settings.
    """
    name = f"incumbents-{sampler.replace(':', '-')}-{seed}"
    folder = Path("runs") / name
    if not folder.exists():
        return search(**settings, name=name, sampler=sampler, seed=seed)
    run = Run(folder)
    other = [key for key, value in settings.items() if value is not None and getattr(run.settings, key) != value]
    if other:
        raise UserError(f"{folder} is a run with another {', '.join(other)}: move it away")
    return run if (folder / "ranking.csv").exists() else resume(folder)


def incumbents(run: Run) -> pd.DataFrame:
    """Return a row per trained candidate, in the order in which they ended.

    `total_seconds` is the training time of all candidates so far, `incumbent` the best search-val mIoU of those that
    are complete.
    """
    ended = {trial.number: trial.datetime_complete for trial in run.study().get_trials(deepcopy=False)}
    frame = run.frame().reset_index()
    frame = frame[frame["seconds"].notna()]
    frame = frame.iloc[frame["trial"].map(ended).argsort(kind="stable")]
    best = frame["miou"].where(frame["outcome"] == "complete").cummax().ffill()
    return frame[["trial", "outcome", "miou", "seconds"]].assign(
        total_seconds=frame["seconds"].cumsum(), incumbent=best
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sampler",
        nargs="+",
        default=["surrogate", "random", "tpe"],
        metavar="NAME",
        help="as in nas-search  [surrogate random tpe]",
    )
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1], help="seeds  [0 1]")
    parser.add_argument("--space", default="multitask.py", help="space file  [multitask.py]")
    parser.add_argument("--budget", type=int, default=60, help="number of candidates  [60]")
    parser.add_argument("--data", default="scenes", help="as in nas-search, such as camvid:PATH")
    parser.add_argument("--labels", help="as in nas-search")
    parser.add_argument("--size", type=size, help="HxW")
    parser.add_argument("--steps", type=int, help="steps of a full training; as in nas-search by default")
    parser.add_argument("--workers", type=int, help="parallel trainings; as in nas-search by default")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "incumbents.csv", help="CSV file, with .md and .html beside it"
    )
    options = parser.parse_args(arguments)
    settings: dict[str, Any] = {
        name: getattr(options, name) for name in ("budget", "data", "labels", "size", "steps", "workers")
    }
    try:
        # Only the search itself is compared, so the final ranking is as short as possible.
        settings |= {"space": str(find_space_file(options.space)), "best": 1, "repeats": 1}
        if options.size:
            settings["size"] = height_and_width(options.size)
        about = provenance("torch", "optuna", "fewlabel-nas")
        found = []
        for seed, sampler in itertools.product(options.seed, options.sampler):
            run = finished_run(sampler, seed, settings)
            found.append(incumbents(run).assign(sampler=sampler, seed=seed, steps=run.settings.steps))
            table = pd.concat(found, ignore_index=True).assign(data=options.data.split(":")[0], **about)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(options.out, index=False, float_format="%.4f")
        print(write_report(options.out))
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
