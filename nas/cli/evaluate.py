"""nas-evaluate: scores of a checkpoint on a split of a data set, a line a class."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli.errors import run
from nas.cli.search import ImageSize
from nas.errors import UserError

if TYPE_CHECKING:
    import torch

    from nas.export import Checkpoint
    from nas.tasks.data.sets import ImageSet, Source
    from nas.training import Scores

__all__ = ["command", "evaluate_checkpoint", "load_split", "main", "score_table"]

SPLITS = ("validation", "test")

APART = 0.002
"""Between a score and the stored one, from which it is more than rounding on another device."""


@click.command(context_settings={"max_content_width": 80, "help_option_names": ["-h", "--help"]})
@click.argument("checkpoint", metavar="CHECKPOINT", type=click.Path(path_type=Path))
@click.option("--data", metavar="KIND:PATH", help="Data set; by default the one the checkpoint was trained on.")
@click.option("--split", type=click.Choice(SPLITS), default="validation", show_default=True)
@click.option("--size", type=ImageSize(), metavar="HxW", help="Working size; by default the checkpoint's.")
@click.option("--group-classes", metavar="FILE", help="JSON that makes fewer classes; by default as in the training.")
@click.option("--device", help="cpu or cuda; by default cuda where there is one.")
@click.option("--space", type=click.Path(path_type=Path), help="The space file, if it defines components of its own.")
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

    A class that is neither in the labels nor in the predictions shows as "-" and is no part of the mean.
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
    """Print the scores that are stored with a checkpoint, and whether one of the same images is another."""
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
    if abs(stored - miou) > APART:
        click.echo("They differ: images, device or toolkit are no longer those of the training.")


def load_split(
    checkpoint: Checkpoint,
    split: str,
    data: str | None = None,
    size: tuple[int, int] | None = None,
    group_classes: str | None = None,
) -> ImageSet:
    """One split of a data set at the checkpoint's size; the others are not decoded.

    Splits do not depend on which images are labelled, but that those which a list of labels took from the
    training's own are left out. Where nothing was held out for validation, or the search ranked on folds of the
    labelled images, it is the test split, which is said.

    Args:
        checkpoint: what is to be evaluated.
        split: "validation" or "test".
        data: KIND:PATH, by default that of the training.
        size: height and width, by default those of the training.
        group_classes: a file that says how to group the set's classes, by default as in the training.

    Raises:
        UserError: the data cannot be read, or its classes are not the checkpoint's.
    """
    from nas.tasks.data.images import allocator, decode
    from nas.tasks.data.parallel import progress_bar

    shown = sys.stderr.isatty()
    source = _open(checkpoint, data or _stored_data(checkpoint), group_classes, shown)
    _check_classes(checkpoint.classes, source.classes, source.name)
    training = _of_training(checkpoint, data, source)
    named = set(training.get("labelled", ()))
    folds = training.get("folds", 0)
    held = split if training.get("holdout", True) and not folds else "test"
    if held != split and folds:
        click.echo(f"The search ranked on {folds} folds of the labelled images, on which the network was")
        click.echo("then trained: these are the images of the test split instead.")
    elif held != split:
        click.echo("Nothing was held out for validation: these are the images of the test split.")
    items = tuple(item for item in getattr(source, held) if item.name not in named)
    if not items:
        raise UserError(f"{source.name} has no images in its {split} split: use another --split")
    height, width = size or checkpoint.size
    if min(height, width) < 8:
        raise UserError(f"size {height}x{width}: height and width must be at least 8 pixels")
    allocate = allocator(4 * height * width * len(items), cache_gb=4.0, folder=None)
    with progress_bar(len(items), f"{source.name} {split}", shown) as bar:
        return decode(items, (height, width), True, allocate, bar)


def score_table(classes: Sequence[str], scores: Scores) -> str:
    """IoU by class, mIoU and pixel accuracy, at most 80 columns wide."""
    rows = [
        *zip(classes, scores.iou, strict=True),
        ("mIoU", scores.miou),
        ("pixel accuracy", scores.accuracy),
    ]
    wide = min(max(len(name) for name, _ in rows), 80 - 9)
    lines = [f"{_fitted(name, wide):<{wide}}  {_number(value):>7}" for name, value in rows]
    rule = "-" * (wide + 9)
    return "\n".join([f"{'class':<{wide}}  {'IoU':>7}", rule, *lines[:-2], rule, *lines[-2:]])


def pick_device(name: str | None) -> torch.device:
    """The device of that name, or the GPU where there is one.

    Raises:
        UserError: there is no such device.
    """
    import torch

    gpu = torch.cuda.is_available()
    try:
        device = torch.device(name or ("cuda" if gpu else "cpu"))
    except RuntimeError:
        raise UserError(f"device {name!r} is unknown: use cpu or cuda") from None
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and not gpu):
        raise UserError(f"device {name}: there is no such device here: use cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {name}: there are {torch.cuda.device_count()} GPUs here, counted from 0")
    return device


def _open(checkpoint: Checkpoint, spec: str, group_classes: str | None, progress: bool) -> Source:
    """The data with its classes grouped as asked, or as in the training unless they are the checkpoint's already."""
    from nas.tasks.data.grouping import group_classes as grouped
    from nas.tasks.data.grouping import read_groups
    from nas.tasks.data.kinds import open_source

    source = open_source(spec, progress, group_classes)
    stored = checkpoint.provenance.get("data")
    groups = stored.get("group_classes") if isinstance(stored, dict) else None
    if group_classes is not None or not groups or source.classes == checkpoint.classes:
        return source
    return grouped(source, read_groups(groups))


def _stored_data(checkpoint: Checkpoint) -> str:
    data = checkpoint.provenance.get("data")
    if not isinstance(data, dict) or not data.get("spec"):
        raise UserError("the checkpoint does not say what it was trained on: give --data KIND:PATH")
    # With unlabelled images of another set, it is that set's splits that are scored.
    return str(data.get("unlabelled") or data["spec"])


def _of_training(checkpoint: Checkpoint, data: str | None, source: Source) -> dict[str, Any]:
    """What is stored of the training's data, if that is what is asked for, wherever it lies by now."""
    from nas.tasks.data import fingerprint, same_set

    stored = checkpoint.provenance.get("data")
    if not isinstance(stored, dict):
        return {}
    if data is None or same_set(data, _stored_data(checkpoint)):
        return stored
    found = fingerprint(source.classes, [item.name for item in source.test])
    return stored if stored.get("fingerprint") == found else {}


def _check_classes(known: Sequence[str], given: Sequence[str], name: str) -> None:
    if tuple(known) != tuple(given):
        raise UserError(
            f"{name} has {len(given)} classes ({_listed(given)}) and the checkpoint {len(known)} "
            f"({_listed(known)}): it can be scored only on data with its own classes, in its own order"
        )


def _listed(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _fitted(name: str, wide: int) -> str:
    return name if len(name) <= wide else name[: wide - 3] + "..."


def main(args: Sequence[str] | None = None) -> None:
    """The entry point of `nas-evaluate`."""
    run(command, args)


if __name__ == "__main__":
    main()
