"""load_data: from what a user writes ("camvid:PATH", "1/8") to a data set in memory."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nas.errors import UserError
from nas.tasks.data.grouping import group_classes as grouped
from nas.tasks.data.grouping import read_groups
from nas.tasks.data.images import allocator, decode, first_size, present_classes
from nas.tasks.data.labels import choose_labels
from nas.tasks.data.parallel import progress_bar
from nas.tasks.data.readers import (
    read_ade20k,
    read_camvid,
    read_cityscapes,
    read_folder,
    read_gta5,
    read_voc,
)
from nas.tasks.data.scenes import read_scenes
from nas.tasks.data.sets import VOID, FewLabelData, ImageSet, Item, LeftOut, Source
from nas.tasks.data.sets import units as units_of
from nas.tasks.data.splits import check_disjoint, left_out, undivided, without_ranking
from nas.tasks.data.summary import summarize
from nas.tasks.data.working_size import affordable
from nas.wording import counted

__all__ = ["KINDS", "Divided", "divide", "load_data", "open_source", "resolved", "same_set"]

_log = logging.getLogger(__name__)

FEW = 60
"""Images with masks below which a ranking split cut from them is too small to rank by: folds take its place."""

FOLDS = 3
"""Folds where nobody says how many."""

KINDS: dict[str, Callable[[Path, bool], Source]] = {
    "camvid": read_camvid,
    "cityscapes": read_cityscapes,
    "voc": read_voc,
    "ade20k": read_ade20k,
    "gta5": read_gta5,
    "folder": read_folder,
}
"""What may stand before the colon, besides `scenes`."""


def load_data(
    spec: str = "scenes",
    labels: str | None = None,
    unlabelled: str | None = None,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    cache_gb: float = 4.0,
    folder: Path | None = None,
    progress: bool = True,
    group_classes: str | Path | Mapping[str, Any] | None = None,
    holdout: bool = True,
    folds: int | None = None,
    most_pixels: int | None = None,
) -> FewLabelData:
    """Load a data set with few labels.

    Args:
        spec: "scenes", "scenes:night", or KIND:PATH with a kind of `KINDS`.
        labels: which images of the pool are labelled: "1/8", "46", "FILE.txt", "all"; None is
            "all" for a folder and for domain adaptation, else 1/8. What is drawn holds every class, for which the
            masks of the whole pool are looked at. A fraction that the set declares (splits/labelled_1_8.txt) is taken
            as declared.
        unlabelled: another set, whose pool is used as the unlabelled images and whose validation and
            test splits are used too (domain adaptation); the rest of this set's pool is left aside.
        size: height and width to work at; None is the size of the pool's first image (48 x 64 for scenes), or a smaller
            one of its shape, see `most_pixels`.
        seed: of the draw of labels; splits, and scenes, are the same for every seed.
        cache_gb: pixels beyond this many gigabytes (1e9 bytes) are kept in files instead of memory.
        folder: where such files go; None is among the temporary files. They go when the data does.
        progress: whether to show progress on standard error.
        group_classes: fewer classes made of the set's own, a file or its content, see `read_groups`.
        holdout: whether images are held out of the pool to rank candidates on. Without, as papers train a single
            network, the whole training split is the pool, and `validation` is the test split.
        folds: how many folds of the labelled images candidates are ranked on; 0 for a ranking split. None is
            3 where a ranking split would be cut from fewer than `FEW` images with masks, else 0. With folds nothing is
            held out of the pool for ranking: `labelled` has all that is labelled outside the test split, and
            `validation` is the same.
        most_pixels: of an image, where `size` is None; None for no limit.

    Raises:
        UserError: something cannot be read or does not fit; the message names it.
    """
    with _heard() as heard:
        data, source, native, unused = _load(
            spec, labels, unlabelled, size, seed, cache_gb, folder, progress, group_classes, holdout, folds, most_pixels
        )
        summary = summarize(data, source, native, unused, tuple(heard))
        new = summary.warnings[len(heard) :]
        for out in summary.left_out:
            _log.warning("%s: left out: %d %s, the first is %s", data.name, out.count, out.reason, out.first)
        for warning in new:
            _log.warning("%s: %s", data.name, warning)
    return replace(data, summary=summary)


def _load(
    spec: str,
    labels: str | None,
    unlabelled: str | None,
    size: tuple[int, int] | None,
    seed: int,
    cache_gb: float,
    folder: Path | None,
    progress: bool,
    group_classes: str | Path | Mapping[str, Any] | None,
    holdout: bool,
    folds: int | None,
    most_pixels: int | None,
) -> tuple[FewLabelData, Source, Counter[tuple[int, int]], tuple[LeftOut, ...]]:
    """See `load_data`; also what it was loaded from, the sizes on disk and what was left out."""
    source = open_source(spec, progress, group_classes)
    other = unlabelled is not None and not same_set(unlabelled, spec)
    target = open_source(unlabelled, progress, group_classes) if unlabelled is not None and other else source
    if source.classes != target.classes:
        raise UserError(_class_difference(source, target))
    if not holdout:
        source = undivided(source)
        target = undivided(target) if other else source
    _check_folds(folds, holdout, other)
    native = target.size or first_size(target.pool)
    if size is None:
        own = (source.size or first_size(source.pool)) if other else native
        size = affordable(_checked(own, "that of the first image: "), most_pixels)
    else:
        size = _checked(size, "")

    def presence(items: Sequence[Item]) -> np.ndarray:
        with progress_bar(len(items), f"{source.name} labels", progress) as bar:
            return present_classes(items, len(source.classes), size, bar)

    def choose(source: Source) -> tuple[Item, ...]:
        return choose_labels(source, labels or ("all" if other else None), seed, presence)

    divided = divide(source, target, choose, folds, holdout)
    source, splits, folds, taken = divided.source, divided.splits, divided.folds, divided.taken
    images = sum(map(len, splits.values()))
    pixels = size[0] * size[1]
    allocate = allocator(pixels * (4 * images - len(splits["unlabelled"])), cache_gb, folder)
    sizes: Counter[tuple[int, int]] = Counter()
    with progress_bar(images, source.name, progress) as bar:
        sets = {
            split: decode(items, size, split != "unlabelled", allocate, bar, sizes) for split, items in splits.items()
        }
    if not holdout:
        sets["validation"] = sets["test"]
    if folds:
        sets["validation"] = sets["labelled"]
    _check_labels(source.name, sets)
    groups, beside = _groups(splits["labelled"], () if other else splits["unlabelled"])
    name = f"{source.name} -> {target.name}" if other else source.name
    data = FewLabelData(
        name,
        source.classes,
        source.palette,
        sets["labelled"],
        sets["unlabelled"],
        sets["validation"],
        sets["test"],
        shifted=other,
        taken=taken,
        native=native,
        groups=groups,
        unlabelled_groups=tuple(beside[name] for name in sets["unlabelled"].names) if beside else (),
        folds=folds,
        scale=target.scale,
    )
    return data, source, sizes, _unused(source, splits["labelled"])


class Divided(NamedTuple):
    """The items of a set by what they are used for.

    Attributes:
        source: the set that is labelled, as it is for that many folds.
        splits: labelled, unlabelled, validation (empty with folds) and test.
        folds: of the labelled images, 0 for none.
        taken: names of images held out for ranking that are labelled instead, as a list asked.
    """

    source: Source
    splits: dict[str, tuple[Item, ...]]
    folds: int
    taken: tuple[str, ...]


def divide(
    source: Source,
    target: Source,
    choose: Callable[[Source], tuple[Item, ...]],
    folds: int | None = None,
    holdout: bool = True,
) -> Divided:
    """Which items are labelled, unlabelled, ranked on and tested on.

    Args:
        source: the set that is labelled.
        target: the set that the other splits are of: the same one, but for domain adaptation.
        choose: draws the labelled items.
        folds, holdout: as for `load_data`.

    Raises:
        UserError: nothing is left to rank on, or there are fewer groups of labelled images than folds.
    """
    other = target is not source
    source, few, folds = _with_folds(source, choose, 0 if other or not holdout else folds)
    if not other:
        target = source
    named = {item.name for item in few}
    ranked = source.validation if holdout and not other else ()
    taken = tuple(item.name for item in ranked if item.name in named)
    splits: dict[str, tuple[Item, ...]] = {
        "labelled": few,
        "unlabelled": (*target.pool, *target.extra) if other else _unlabelled(source, few),
        "validation": _not_labelled(source, taken) if taken else target.validation,
        "test": target.test,
    }
    return Divided(source, splits, folds, taken)


def _check_folds(folds: int | None, holdout: bool, other: bool) -> None:
    if folds is None or folds == 0:
        return
    if folds < 0 or folds == 1:
        raise UserError(f"--folds {folds}: give 2 or more, or 0 for a ranking split")
    if not holdout:
        raise UserError(f"--folds {folds} and --no-holdout exclude each other: folds are there to choose by")
    if other:
        raise UserError(f"--folds {folds} and --unlabelled exclude each other: ranking is on the images of that set")


def _with_folds(
    source: Source, choose: Callable[[Source], tuple[Item, ...]], folds: int | None
) -> tuple[Source, tuple[Item, ...], int]:
    """The source as it is for that many folds, its labelled items, and the folds; None decides by how few there are.

    Raises:
        UserError: there are fewer groups of labelled images than folds.
    """
    masks = len(source.pool) + len(source.validation) + len(source.spare)
    if folds == 0 or (folds is None and (source.ranking_declared or masks >= FEW)):
        return source, choose(source), 0
    whole = undivided(source) if not source.ranking_declared else _ranking_unlabelled(source)
    few = choose(whole)
    units = len(set(_groups(few, _unlabelled(whole, few))[0]))
    if folds is None:
        # A single film is cut in time instead.
        return (whole, few, min(FOLDS, units)) if units > 1 else (source, choose(source), 0)
    if units < folds:
        raise UserError(
            f"--folds {folds}: the {len(few)} labelled images of {source.name} are of {counted(units, 'group')}: "
            + (f"give {units} or fewer" if units > 1 else "folds need two, of other patients, sites or films")
        )
    return whole, few, folds


def _unlabelled(source: Source, few: Sequence[Item]) -> tuple[Item, ...]:
    """What may be learnt from without labels where `few` are labelled."""
    return (*left_out(source.pool, few), *source.extra)


def _groups(few: Sequence[Item], unlabelled: Sequence[Item]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The group of each labelled item, and those of the unlabelled ones by name; an item of either may link others."""
    groups = units_of((*few, *unlabelled))
    names = (item.name for item in unlabelled)
    return groups[: len(few)], dict(zip(names, groups[len(few) :], strict=True))


def _ranking_unlabelled(source: Source) -> Source:
    """The source with the images that it declares for ranking as unlabelled ones."""
    _log.warning(
        "%s: the %d images that it names for ranking are used without their labels, since candidates are ranked on "
        "folds",
        source.name,
        len(source.validation),
    )
    bare = without_ranking(source)
    return replace(bare, extra=(*bare.extra, *source.validation))


def _check_labels(name: str, sets: Mapping[str, ImageSet]) -> None:
    """See that there is something to learn and to rank by.

    Raises:
        UserError: a split holds no labelled pixel.
    """
    for split in ("labelled", "validation", "test"):
        masks = sets[split].masks
        if masks is None or not len(masks):
            raise UserError(f"{name}: no image of the {split} split has a mask: add masks, or take the split away")
        if (masks == VOID).all():
            raise UserError(f"{name}: the {split} masks are void in every pixel: see the classes")


def _unused(source: Source, few: Sequence[Item]) -> tuple[LeftOut, ...]:
    """Frames beside the cut between pool and ranking, which nothing has taken up."""
    named = {item.name for item in few}
    spare = [item.name for item in source.spare if item.name not in named]
    return (LeftOut("frames beside the cut between learning and ranking", len(spare), spare[0]),) if spare else ()


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What `nas.tasks.data` warns of inside the block, which goes where it goes all the same."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    listener, logger = Listener(logging.WARNING), logging.getLogger("nas.tasks.data")
    alone = not logger.hasHandlers()
    logger.addHandler(listener)
    if alone and logging.lastResort is not None:
        # A logger without handlers writes warnings to standard error; one that is listened to would not.
        logger.addHandler(logging.lastResort)
    try:
        yield heard
    finally:
        logger.removeHandler(listener)
        if alone and logging.lastResort is not None:
            logger.removeHandler(logging.lastResort)


def open_source(
    spec: str, progress: bool = False, group_classes: str | Path | Mapping[str, Any] | None = None
) -> Source:
    """What KIND:PATH holds, by split, with nothing decoded yet, its classes grouped where `group_classes` says how.

    Raises:
        UserError: the kind is unknown, the path is not there, its layout is not the kind's, or the groups
            are not made of its classes.
    """
    # Read first: a fault in a small file should not wait for the scan of a large set.
    groups = None if group_classes is None else read_groups(group_classes)
    source = _open_ungrouped(spec, progress)
    return source if groups is None else grouped(source, groups)


def _not_labelled(source: Source, taken: tuple[str, ...]) -> tuple[Item, ...]:
    """The ranking split without the images that a list of labels took from it."""
    left = tuple(item for item in source.validation if item.name not in taken)
    count = len(taken)
    if not left:
        raise UserError(f"{source.name}: the list of labels names all {count} images held out for ranking: leave some")
    _log.warning(
        "%s: the list of labels takes images from the ranking split: %d, which leaves it %d",
        source.name,
        count,
        len(left),
    )
    return left


def resolved(spec: str) -> str:
    """KIND:PATH with its path in full; what is not of that form as it is."""
    kind, _, place = spec.partition(":")
    return f"{kind}:{Path(place).expanduser().resolve()}" if kind in KINDS and place else spec


def same_set(one: str, other: str) -> bool:
    """Whether two specs name the same set, however they are spelt."""
    return len({"scenes:day" if spec == "scenes" else resolved(spec) for spec in (one, other)}) == 1


def _open_ungrouped(spec: str, progress: bool) -> Source:
    kind, colon, place = spec.partition(":")
    if kind == "scenes":
        return read_scenes(place if colon else "day")
    known = "scenes, scenes:night, " + ", ".join(f"{each}:PATH" for each in KINDS)
    if kind not in KINDS:
        hint = f" (for a folder of your own: folder:{spec})" if Path(spec).expanduser().exists() else ""
        raise UserError(f"data {spec!r}: there is no kind {kind!r}{hint}; known are {known}")
    path = Path(place).expanduser()
    if not place or not path.exists():
        raise UserError(f"data {spec!r}: there is no {path if place else 'path after the colon'}; write {kind}:PATH")
    if not path.is_dir():
        raise UserError(f"data {spec!r}: {path} is a file; give the folder that holds the set")
    try:
        if not any(path.iterdir()):
            raise UserError(f"data {spec!r}: the folder {path} is empty")
        source = KINDS[kind](path, progress)
    except OSError as error:
        raise UserError(f"data {spec!r}: {error.filename or path} cannot be read: {error.strerror}") from error
    check_disjoint(source)
    return source


def _checked(size: tuple[int, int], whose: str) -> tuple[int, int]:
    height, width = size
    if height < 8 or width < 8:
        raise UserError(f"size {height}x{width}: {whose}height and width must be at least 8 pixels: give --size")
    return height, width


def _class_difference(source: Source, target: Source) -> str:
    here, there = set(source.classes), set(target.classes)
    only = sorted(here ^ there)
    what = f"not in both: {', '.join(only[:8])}" if only else "the same names in another order"
    return (
        f"{source.name} has {len(source.classes)} classes and {target.name} {len(target.classes)} ({what}): "
        "a set of unlabelled images must have the same classes"
    )
