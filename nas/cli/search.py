"""nas-search: search a space, resume a run, or describe a space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from nas.cli.errors import run
from nas.cli.options import CONTEXT, ImageSize, Names, Seconds

__all__ = ["main"]


@click.command(context_settings=CONTEXT)
@click.option("--space", help="Space file, or a shipped one such as multitask.py.")
@click.option("--budget", type=int, help="Candidates to try.  [200]")
@click.option(
    "--data", help="scenes, scenes:night or KIND:PATH: camvid, cityscapes, voc, ade20k, gta5, folder.  [scenes]"
)
@click.option("--labels", help="Labelled images: all, 1/8, 46 or FILE.txt.  [1/8; folder, or with --unlabelled: all]")
@click.option("--unlabelled", help="KIND:PATH of another set of unlabelled images.")
@click.option(
    "--size", type=ImageSize(), help="Image size HxW, or N for a square.  [that of the first image; scenes: 48x64]"
)
@click.option(
    "--search-size", type=ImageSize(), help="Size at which candidates are compared.  [--size, or smaller on a CPU]"
)
@click.option("--group-classes", metavar="FILE", help="JSON file that groups classes: {name: [classes], ...}.")
@click.option(
    "--no-holdout",
    "holdout",
    is_flag=True,
    flag_value=False,
    default=None,
    help="For one closed recipe: train on the whole training split, score on the test split.",
)
@click.option("--objectives", type=Names(), help="miou, and params, macs, latency, memory, seconds.  [miou]")
@click.option("--latency-on", metavar="DEVICE", help="Measure latency on cpu or cuda.  [the training's device]")
@click.option(
    "--sampler", help="surrogate, evolution, local, random, tpe, gp, cmaes, nsga2, nni:tpe, nni:evolution.  [surrogate]"
)
@click.option("--stopping", help="halving, promotion, adaptive, curve, hyperband, none.  [halving]")
@click.option("--warm-start", metavar="RUN", help="Try the best candidates of an earlier run after the baselines.")
@click.option("--screen", type=int, metavar="N", help="Draw N candidates, and try the most promising tenth first.")
@click.option("--steps", type=int, help="Optimizer steps of a full training in the search.  [by the number of labels]")
@click.option("--final-steps", type=int, help="Steps of the final training, 0 for none.  [3 x --steps]")
@click.option("--folds", type=int, help="Cross-validation folds, 0 for one validation split.  [3 below 60 labels]")
@click.option("--best", type=int, help="Candidates to rank over seeds at the end.  [3]")
@click.option("--repeats", type=int, help="Seeds that each of them is trained on.  [3]")
@click.option("--seed", type=int, help="Random seed of sampler, labels and trainings.  [0]")
@click.option("--workers", type=int, help="Worker processes without a GPU.  [one per core]")
@click.option("--workers-per-gpu", type=int, help="Worker processes on each GPU.  [2]")
@click.option("--hang-after", type=Seconds(), help="Replace a worker without a message for 90s, 45m or 2h.  [60m]")
@click.option(
    "--max-time", type=Seconds(), help="Time limit for everything: 90s, 45m or 2h.  [none; alone, it replaces --budget]"
)
@click.option("--name", help="Name of the run's folder under runs/.")
@click.option("--storage", help="Optuna storage URL.  [study.db in the run's folder]")
@click.option("--weights-dir", metavar="DIR", help="Folder of pretrained weight files.  [$NAS_WEIGHTS]")
@click.option("--cache-gb", type=float, help="Gigabytes of images above which they are cached on disk.  [4]")
@click.option("--resume", metavar="RUN", help="Resume a run; --budget then extends it.")
@click.option("--describe", is_flag=True, help="Print the space and stop.")
@click.option("--format", type=click.Choice(["text", "nni"]), help="What --describe prints.  [text]")
def command(
    space: str | None, resume: str | None, describe: bool, format: str | None, name: str | None, **settings: Any
) -> None:
    """Search an architecture together with its pretext tasks, method and settings.

    \b
    nas-search --space multitask.py --budget 200
    nas-search --space multitask.py --budget 40 --data camvid:PATH --labels 1/8
    nas-search --resume runs/multitask-1 --budget 400
    """
    given = {key: value for key, value in settings.items() if value is not None}
    if describe and resume is not None:
        raise click.UsageError("--describe takes a --space, not a run: give RUN/space.py")
    if format is not None and not describe:
        raise click.UsageError("--format says what --describe prints: add --describe")
    if resume is not None:
        from nas.api import resume as resume_run
        from nas.logs import log_to_terminal

        log_to_terminal()
        resume_run(resume, space=space, name=name, **given)
    elif space is None:
        raise click.UsageError("give --space FILE, such as --space multitask.py, or --resume RUN")
    elif describe:
        _describe(space, format)
    else:
        from nas.api import search
        from nas.logs import log_to_terminal

        log_to_terminal()
        search(space, name=name, **given)


def _describe(space: str, format: str | None) -> None:
    import json

    from nas.space import describe, load_space, space_to_nni

    loaded = load_space(space)
    click.echo(describe(loaded) if format != "nni" else json.dumps(space_to_nni(loaded), indent=1))


def main(args: Sequence[str] | None = None) -> None:
    """The entry point of `nas-search`."""
    run(command, args)


if __name__ == "__main__":
    main()
