"""nas-evaluate: score a checkpoint on a split of a data set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.cli.errors import run
from nas.cli.options import CONTEXT, ImageSize, device_option, pick_device, space_option
from nas.cli.splits import SPLITS, load_split

if TYPE_CHECKING:
    from nas.export import Checkpoint
    from nas.tasks.data.sets import ImageSet
    from nas.training import Scores

__all__ = ["command", "evaluate_checkpoint", "main", "score_table"]

TOLERANCE = 0.002
"""Difference from the stored score that rounding on another device explains."""


@click.command(context_settings=CONTEXT)
@click.argument("checkpoint", metavar="CHECKPOINT", type=click.Path(path_type=Path))
@click.option("--data", metavar="KIND:PATH", help="Data set; by default the one the checkpoint was trained on.")
@click.option("--split", type=click.Choice(SPLITS), default="validation", show_default=True)
@click.option(
    "--size", type=ImageSize(), metavar="HxW", help="Size at which images are used; by default the checkpoint's."
)
@click.option("--group-classes", metavar="FILE", help="JSON file that groups classes; by default as in the training.")
@device_option
@space_option
@click.option("--veto", is_flag=True, help="Also print what the veto of a classification branch changed.")
def command(
    checkpoint: Path,
    data: str | None,
    split: str,
    size: tuple[int, int] | None,
    group_classes: str | None,
    device: str | None,
    space: Path | None,
    veto: bool,
) -> None:
    """Print the IoU of each class, their mean and the pixel accuracy of a checkpoint (or a run's best one).

    A class that is neither in the ground truth nor in the predictions shows as "-" and is left out of the mean.
    """
    from nas.export import load_checkpoint

    pick_device(device)
    loaded = load_checkpoint(checkpoint, space)
    images = load_split(loaded, split, data, size, group_classes)
    scores = evaluate_checkpoint(loaded, images, device)
    height, width = images.images.shape[1:3]
    click.echo(score_table(loaded.classes, scores))
    click.echo(f"{split}: {len(images)} images of {height}x{width}")
    if data is None and size is None and group_classes is None:
        _compare_with_stored(loaded, split, scores.miou)
    if veto:
        from nas.cli.veto import count_vetoes, veto_table

        click.echo(f"\n{veto_table(loaded.classes, count_vetoes(loaded, images, pick_device(device)))}")


def evaluate_checkpoint(checkpoint: Checkpoint, images: ImageSet, device: str | None = None) -> Scores:
    """The scores that the training itself would find on the same machine, to the last bit.

    Raises:
        UserError: there is no such device.
    """
    import torch

    from nas.training import evaluate

    place = pick_device(device)
    # Workers compute on one thread each, and sums split over more threads round differently.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return evaluate(checkpoint.network.to(place), images, len(checkpoint.classes), place)
    finally:
        torch.set_num_threads(threads)


def _compare_with_stored(checkpoint: Checkpoint, split: str, miou: float) -> None:
    """Print the scores stored with a checkpoint, and say so where the score on the same images differs."""
    stored = checkpoint.metrics.get(f"{split}_miou")
    training = checkpoint.provenance.get("data")
    folds = training.get("folds", 0) if isinstance(training, dict) else 0
    if folds and split == "validation":
        if stored is not None:
            click.echo(f"stored with the checkpoint: mIoU {stored:.4f} on the {folds} folds, which are other images:")
            click.echo("do not compare it with the mIoU above.")
        stored = checkpoint.metrics.get("test_miou")
    if stored is None:
        return
    where = " on the test split" if folds else ""
    click.echo(f"stored with the checkpoint: mIoU {stored:.4f}{where}")
    if abs(stored - miou) > TOLERANCE:
        click.echo("They differ: images, device or toolkit are no longer those of the training.")


def score_table(classes: Sequence[str], scores: Scores) -> str:
    """Format the IoU by class, mIoU and pixel accuracy, at most 80 columns wide."""
    rows = [
        *zip(classes, scores.iou, strict=True),
        ("mIoU", scores.miou),
        ("pixel accuracy", scores.accuracy),
    ]
    wide = min(max(len(name) for name, _ in rows), 80 - 9)
    lines = [f"{_fitted(name, wide):<{wide}}  {_number(value):>7}" for name, value in rows]
    rule = "-" * (wide + 9)
    return "\n".join([f"{'class':<{wide}}  {'IoU':>7}", rule, *lines[:-2], rule, *lines[-2:]])


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _fitted(name: str, wide: int) -> str:
    return name if len(name) <= wide else name[: wide - 3] + "..."


def main(args: Sequence[str] | None = None) -> None:
    """The entry point of `nas-evaluate`."""
    run(command, args)


if __name__ == "__main__":
    main()
