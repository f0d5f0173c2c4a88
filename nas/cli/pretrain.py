"""nas-pretrain: train an encoder by pretext tasks on all images, for searches to start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from nas.cli.errors import run
from nas.cli.options import CONTEXT, ImageSize, device_option

__all__ = ["command", "main"]


@click.command(context_settings=CONTEXT)
@click.option("--space", help="Space file, or a shipped one.  [multitask.py]")
@click.option("--encoder", metavar="NAME", help="A baseline of the space, or a timm network.  [the first baseline]")
@click.option("--weights", metavar="FILE", help="Start from imagenet, a file or a run.  [as the space says, or random]")
@click.option(
    "--pretext", metavar="TASKS", help="Names with optional weights: Rotation,Jigsaw:0.5.  [the tasks of the space]"
)
@click.option("--steps", type=int, help="Optimizer steps.  [2000]")
@click.option("--batch", type=int, help="Images per step, divided among the tasks.  [all of a step of the baseline]")
@click.option(
    "--data", help="scenes, scenes:night or KIND:PATH: camvid, cityscapes, voc, ade20k, gta5, folder.  [scenes]"
)
@click.option("--labels", help="Labelled images: all, 1/8, 46 or FILE.txt.  [1/8; folder, or with --unlabelled: all]")
@click.option("--unlabelled", help="KIND:PATH of another set of unlabelled images.")
@click.option("--size", type=ImageSize(), help="Image size HxW, or N for a square.  [as a search compares candidates]")
@click.option("--group-classes", metavar="FILE", help="JSON file that groups classes: {name: [classes], ...}.")
@click.option(
    "--no-holdout",
    "holdout",
    is_flag=True,
    flag_value=False,
    default=None,
    help="For a search without images for ranking: use these, too.",
)
@click.option("--folds", type=int, help="Cross-validation folds, 0 for one validation split.  [3 below 60 labels]")
@click.option("--seed", type=int, help="Random seed of everything.  [0]")
@click.option("--name", help="Name of the folder under runs/.  [pretrain-1, -2, ...]")
@click.option("--weights-dir", metavar="DIR", help="Folder of pretrained weight files.  [$NAS_WEIGHTS]")
@click.option("--cache-gb", type=float, help="Gigabytes of images above which they are cached on disk.  [4]")
@device_option
@click.option("--resume", metavar="FOLDER", help="Continue an interrupted pretraining.")
def command(**settings: Any) -> None:
    """Train an encoder by pretext tasks on all images, once for all candidates.

    \b
    nas-pretrain --data folder:PATH
    nas-pretrain --data folder:PATH --encoder resnet18 --weights imagenet
    nas-pretrain --resume runs/pretrain-1

    Images for ranking and testing are not used. Give --labels, --folds and the
    other options of the data as for the search that follows, so that these are
    the same. The last line names the encoder to write into a space.
    """
    from nas.logs import log_to_terminal
    from nas.pretraining import pretrain

    log_to_terminal()
    pretrain(**{key: value for key, value in settings.items() if value is not None})


def main(args: Sequence[str] | None = None) -> None:
    """The entry point of `nas-pretrain`."""
    run(command, args)


if __name__ == "__main__":
    main()
