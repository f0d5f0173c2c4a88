"""load_data: from what a user writes ("camvid:PATH", "1/8") to a data set in memory."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import UserError
from nas.tasks.data.images import allocator, decode, first_size, present_classes
from nas.tasks.data.kinds import open_source, same_set
from nas.tasks.data.labels import choose_labels
from nas.tasks.data.parallel import progress_bar
from nas.tasks.data.recording import recorded_warnings
from nas.tasks.data.sets import VOID, FewLabelData, ImageSet, Item, LeftOut, Source
from nas.tasks.data.split_plan import SplitPlan, joint_groups, plan_splits
from nas.tasks.data.splits import undivided
from nas.tasks.data.summary import Summary, summarize
from nas.tasks.data.working_size import affordable

__all__ = ["load_data"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataRequest:
    """The arguments of `load_data`, by the same names."""

    spec: str
    labels: str | None
    unlabelled: str | None
    size: tuple[int, int] | None
    seed: int
    cache_gb: float
    folder: Path | None
    progress: bool
    group_classes: str | Path | Mapping[str, Any] | None
    holdout: bool
    folds: int | None
    most_pixels: int | None


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
        labels: which images of the training pool are labelled: "1/8", "46", "FILE.txt" or "all". None is "all" for a
            folder and for domain adaptation, else "1/8". A fraction that the data set declares
            (splits/labelled_1_8.txt) uses that list. Otherwise the labelled images are drawn so that every class is
            among them, which reads the masks of the whole pool.
        unlabelled: another data set for domain adaptation. Its pool is used without labels, and its validation and test
            splits take the place of those of `spec`; the rest of the pool of `spec` is not used.
        size: height and width of the loaded images; None for the size of the first image of the pool (48 x 64 for
            scenes), limited by `most_pixels`.
        seed: seed of the draw of labels. Splits and scenes are the same for every seed.
        cache_gb: pixels beyond this many gigabytes (1e9 bytes) are kept in files instead of memory.
        folder: folder of such files; None for the temporary folder. They are removed together with the data.
        progress: whether to show progress on standard error.
        group_classes: how to merge classes, a file or its content, see `read_groups`.
        holdout: whether to hold out images of the pool to rank candidates on. Without, the whole training split is the
            pool, as for single networks in papers, and `validation` is the test split.
        folds: number of folds of the labelled images to rank candidates on, 0 for a ranking split. None is 3 if there
            are fewer than 60 labelled images to cut a ranking split from, else 0. With folds, all labelled images
            outside the test split are in `labelled`, and `validation` is the same set.
        most_pixels: largest number of pixels of an image if `size` is None; None for no limit.

    Raises:
        UserError: something cannot be read or does not fit; the message names it.
    """
    request = DataRequest(
        spec,
        labels,
        unlabelled,
        size,
        seed,
        cache_gb,
        folder,
        progress,
        group_classes,
        holdout,
        folds,
        most_pixels,
    )
    with recorded_warnings() as warnings:
        data, summary = _load(request, warnings)
        _log_new_warnings(summary, len(warnings))
    return replace(data, summary=summary)


def _load(request: DataRequest, warnings: Sequence[str]) -> tuple[FewLabelData, Summary]:
    """Load the data and summarize it.

    Args:
        request: what to load.
        warnings: the recorded warnings; more are added while the data is loaded.
    """
    source, target = _open(request)
    native = target.size or first_size(target.pool)
    size = _working_size(request, source, target, native)
    plan = plan_splits(source, target, _label_chooser(request, source, target, size), request.folds, request.holdout)
    sets, sizes = _decode(request, plan, size)
    _check_labels(source.name, sets)
    data = _assemble(plan, sets, native)
    return data, summarize(data, plan.source, sizes, _unused(plan), tuple(warnings))


def _open(request: DataRequest) -> tuple[Source, Source]:
    """Open the labelled data set and the one of the other splits, the same object unless they differ.

    Raises:
        UserError: a set cannot be read, their classes differ, or arguments contradict each other.
    """
    source = target = open_source(request.spec, request.progress, request.group_classes)
    if request.unlabelled is not None and not same_set(request.unlabelled, request.spec):
        target = open_source(request.unlabelled, request.progress, request.group_classes)
    shifted = target is not source
    if source.classes != target.classes:
        raise UserError(_class_difference(source, target))
    if not request.holdout:
        source = undivided(source)
        target = undivided(target) if shifted else source
    _check_folds(request.folds, request.holdout, shifted)
    return source, target


def _class_difference(source: Source, target: Source) -> str:
    here, there = set(source.classes), set(target.classes)
    only = sorted(here ^ there)
    what = f"not in both: {', '.join(only[:8])}" if only else "the same names in another order"
    return (
        f"{source.name} has {len(source.classes)} classes and {target.name} {len(target.classes)} ({what}): "
        "a set of unlabelled images must have the same classes"
    )


def _check_folds(folds: int | None, holdout: bool, shifted: bool) -> None:
    if folds is None or folds == 0:
        return
    if folds < 0 or folds == 1:
        raise UserError(f"--folds {folds}: give 2 or more, or 0 for a ranking split")
    if not holdout:
        raise UserError(f"--folds {folds} and --no-holdout exclude each other: folds are for ranking candidates")
    if shifted:
        raise UserError(
            f"--folds {folds} and --unlabelled exclude each other: candidates are ranked on the images of that set"
        )


def _working_size(request: DataRequest, source: Source, target: Source, native: tuple[int, int]) -> tuple[int, int]:
    """Height and width to load images at.

    Raises:
        UserError: they are smaller than 8 pixels.
    """
    if request.size is not None:
        return _checked(request.size, "")
    own = native if target is source else source.size or first_size(source.pool)
    return affordable(_checked(own, "the first image has this size; "), request.most_pixels)


def _checked(size: tuple[int, int], origin: str) -> tuple[int, int]:
    height, width = size
    if height < 8 or width < 8:
        raise UserError(f"size {height}x{width}: {origin}height and width must be at least 8 pixels: give --size")
    return height, width


def _label_chooser(
    request: DataRequest, source: Source, target: Source, size: tuple[int, int]
) -> Callable[[Source], tuple[Item, ...]]:
    """A function that selects the labelled items of a source."""
    labels = request.labels or (None if target is source else "all")

    def presence(items: Sequence[Item]) -> np.ndarray:
        with progress_bar(len(items), f"{source.name} labels", request.progress) as bar:
            return present_classes(items, len(source.classes), size, bar)

    return lambda source: choose_labels(source, labels, request.seed, presence)


def _decode(
    request: DataRequest, plan: SplitPlan, size: tuple[int, int]
) -> tuple[dict[str, ImageSet], Counter[tuple[int, int]]]:
    """Decode the images of every split; count their sizes on disk."""
    images = sum(map(len, plan.items.values()))
    values = size[0] * size[1] * (4 * images - len(plan.items["unlabelled"]))  # unlabelled images have no mask
    allocate = allocator(values, request.cache_gb, request.folder)
    sizes: Counter[tuple[int, int]] = Counter()
    with progress_bar(images, plan.source.name, request.progress) as bar:
        sets = {
            split: decode(items, size, split != "unlabelled", allocate, bar, sizes)
            for split, items in plan.items.items()
        }
    if not request.holdout:
        sets["validation"] = sets["test"]
    if plan.folds:
        sets["validation"] = sets["labelled"]
    return sets, sizes


def _check_labels(name: str, sets: Mapping[str, ImageSet]) -> None:
    """Check that there are labels to train on, to rank by and to test on.

    Raises:
        UserError: a split has no labelled pixel.
    """
    for split in ("labelled", "validation", "test"):
        masks = sets[split].masks
        if masks is None or not len(masks):
            raise UserError(f"{name}: no image of the {split} split has a mask: add masks, or remove the split")
        if (masks == VOID).all():
            raise UserError(f"{name}: all pixels of the {split} masks are void: check the classes")


def _assemble(plan: SplitPlan, sets: Mapping[str, ImageSet], native: tuple[int, int]) -> FewLabelData:
    source, target = plan.source, plan.target
    groups, unlabelled_groups = joint_groups(plan.items["labelled"], () if plan.shifted else plan.items["unlabelled"])
    return FewLabelData(
        f"{source.name} -> {target.name}" if plan.shifted else source.name,
        source.classes,
        source.palette,
        sets["labelled"],
        sets["unlabelled"],
        sets["validation"],
        sets["test"],
        shifted=plan.shifted,
        taken_from_ranking=plan.taken_from_ranking,
        native=native,
        groups=groups,
        # Unlabelled images that cannot be read are skipped, so there may be fewer than planned.
        unlabelled_groups=tuple(unlabelled_groups[name] for name in sets["unlabelled"].names)
        if unlabelled_groups
        else (),
        folds=plan.folds,
        scale=target.scale,
    )


def _unused(plan: SplitPlan) -> tuple[LeftOut, ...]:
    """Frames in the gap between training and ranking, unless a list of labels names them."""
    labelled = {item.name for item in plan.items["labelled"]}
    gap = [item.name for item in plan.source.spare if item.name not in labelled]
    return (LeftOut("frames in the gap between training and ranking", len(gap), gap[0]),) if gap else ()


def _log_new_warnings(summary: Summary, logged: int) -> None:
    """Log what is left out, and the warnings of a summary after the first `logged` ones."""
    for out in summary.left_out:
        _log.warning("%s: left out: %d %s, the first is %s", summary.name, out.count, out.reason, out.first)
    for warning in summary.warnings[logged:]:
        _log.warning("%s: %s", summary.name, warning)
