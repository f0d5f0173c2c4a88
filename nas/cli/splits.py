"""The images that nas-evaluate scores: one split of the checkpoint's data set, or of another with its classes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from nas.errors import UserError
from nas.sizes import parse_size

if TYPE_CHECKING:
    from nas.export import Checkpoint
    from nas.tasks.data.sets import ImageSet, Source

__all__ = ["SPLITS", "load_split"]

SPLITS = ("validation", "test")


def load_split(
    checkpoint: Checkpoint,
    split: str,
    data: str | None = None,
    size: tuple[int, int] | None = None,
    group_classes: str | None = None,
) -> ImageSet:
    """Load one split of a data set at the checkpoint's size; the other splits are not decoded.

    A split does not depend on which images are labelled, but images of it that a list of labels used for training
    are left out. Where the training had no validation split, or ranked on folds of the labelled images, the
    test split is loaded, and a line says so.

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
    source = _open(checkpoint, data or _spec_of_training(checkpoint), group_classes, shown)
    _check_classes(checkpoint.classes, source.classes, source.name)
    training = _data_of_training(checkpoint, data, source)
    folds = training.get("folds", 0)
    held_out = training.get("holdout", True) and not folds
    if split != "test" and not held_out:
        split = "test"
        if folds:
            click.echo(f"The search ranked on {folds} folds of the labelled images, on which the network was")
            click.echo("then trained: these are the images of the test split instead.")
        else:
            click.echo("Nothing was held out for validation: these are the images of the test split.")
    trained_on = set(training.get("labelled", ()))
    items = tuple(item for item in getattr(source, split) if item.name not in trained_on)
    if not items:
        raise UserError(f"{source.name} has no images in its {split} split: use another --split")
    height, width = parse_size(size or checkpoint.size)
    allocate = allocator(4 * height * width * len(items), cache_gb=4.0, folder=None)
    with progress_bar(len(items), f"{source.name} {split}", shown) as bar:
        return decode(items, (height, width), True, allocate, bar)


def _open(checkpoint: Checkpoint, spec: str, group_classes: str | None, progress: bool) -> Source:
    """Open a data set and group its classes: as asked, or as in the training where they are not the checkpoint's."""
    from nas.tasks.data.grouping import group_classes as grouped
    from nas.tasks.data.grouping import read_groups
    from nas.tasks.data.kinds import open_source

    source = open_source(spec, progress, group_classes)
    stored = checkpoint.provenance.get("data")
    groups = stored.get("group_classes") if isinstance(stored, dict) else None
    if group_classes is not None or not groups or source.classes == checkpoint.classes:
        return source
    return grouped(source, read_groups(groups))


def _spec_of_training(checkpoint: Checkpoint) -> str:
    """KIND:PATH of the set that the search ranked on."""
    data = checkpoint.provenance.get("data")
    if not isinstance(data, dict) or not data.get("spec"):
        raise UserError("the checkpoint does not say what it was trained on: give --data KIND:PATH")
    # With --unlabelled, candidates are ranked and tested on that set.
    return str(data.get("unlabelled") or data["spec"])


def _data_of_training(checkpoint: Checkpoint, data: str | None, source: Source) -> dict[str, Any]:
    """What the checkpoint stores of its training data; empty where `source` is another set.

    A set that was moved is recognized by its fingerprint.
    """
    from nas.tasks.data import fingerprint, same_set

    stored = checkpoint.provenance.get("data")
    if not isinstance(stored, dict):
        return {}
    if data is None or same_set(data, _spec_of_training(checkpoint)):
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
