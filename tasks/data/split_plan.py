"""Decide which images of a data set are labelled, unlabelled, ranked on and tested on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from nas.errors import UserError
from nas.tasks.data.sets import Item, Source, group_labels
from nas.tasks.data.splits import left_out, undivided, without_ranking
from nas.wording import counted

__all__ = ["SplitPlan", "joint_groups", "plan_splits"]

_log = logging.getLogger(__name__)

FEWEST_FOR_A_SPLIT = 60
"""Labelled images that a ranking split is cut from; with fewer, candidates are ranked on folds."""

DEFAULT_FOLDS = 3
"""Number of folds unless the user gives one."""


class SplitPlan(NamedTuple):
    """The items of a data set by split.

    Attributes:
        source: the labelled data set, without a ranking split if there are folds.
        target: the data set of all other splits: `source`, or another one for domain adaptation.
        items: labelled, unlabelled, validation (empty with folds) and test.
        folds: number of folds of the labelled images, 0 for a ranking split.
        taken_from_ranking: names of ranking images that a list of labels moves to the labelled ones.
    """

    source: Source
    target: Source
    items: dict[str, tuple[Item, ...]]
    folds: int
    taken_from_ranking: tuple[str, ...]

    @property
    def shifted(self) -> bool:
        """Whether all but the labelled images are of another data set (domain adaptation)."""
        return self.target is not self.source


def plan_splits(
    source: Source,
    target: Source,
    choose: Callable[[Source], tuple[Item, ...]],
    folds: int | None = None,
    holdout: bool = True,
) -> SplitPlan:
    """Assign the items of a data set to the splits of a search.

    Args:
        source: the labelled data set.
        target: the data set of the other splits: `source` itself, or another one for domain adaptation.
        choose: selects the labelled items.
        folds, holdout: see `load_data`.

    Raises:
        UserError: no ranking image is left, or there are fewer groups of labelled images than folds.
    """
    shifted = target is not source
    source, few, folds = _with_folds(source, choose, 0 if shifted or not holdout else folds)
    if not shifted:
        target = source
    labelled = {item.name for item in few}
    ranking = source.validation if holdout and not shifted else ()
    taken = tuple(item.name for item in ranking if item.name in labelled)
    items: dict[str, tuple[Item, ...]] = {
        "labelled": few,
        "unlabelled": (*target.pool, *target.extra) if shifted else _unlabelled(source, few),
        "validation": _remaining_ranking(source, taken) if taken else target.validation,
        "test": target.test,
    }
    return SplitPlan(source, target, items, folds, taken)


def joint_groups(few: Sequence[Item], unlabelled: Sequence[Item]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The group of each labelled item, and the group of each unlabelled item by its name.

    Both are needed together because an item of either may link two groups.
    """
    groups = group_labels((*few, *unlabelled))
    names = (item.name for item in unlabelled)
    return groups[: len(few)], dict(zip(names, groups[len(few) :], strict=True))


def _with_folds(
    source: Source, choose: Callable[[Source], tuple[Item, ...]], folds: int | None
) -> tuple[Source, tuple[Item, ...], int]:
    """Return the source without its ranking split if there are folds, its labelled items, and the number of folds.

    Args:
        source: the labelled data set.
        choose: selects the labelled items.
        folds: number of folds; None decides by the number of masks.

    Raises:
        UserError: there are fewer groups of labelled images than folds.
    """
    masks = len(source.pool) + len(source.validation) + len(source.spare)
    if folds == 0 or (folds is None and (source.ranking_declared or masks >= FEWEST_FOR_A_SPLIT)):
        return source, choose(source), 0
    whole = undivided(source) if not source.ranking_declared else _ranking_unlabelled(source)
    few = choose(whole)
    groups = len(set(joint_groups(few, _unlabelled(whole, few))[0]))
    if folds is None:
        # A single film has one group only; it is cut in time instead.
        return (whole, few, min(DEFAULT_FOLDS, groups)) if groups > 1 else (source, choose(source), 0)
    if groups < folds:
        raise UserError(
            f"--folds {folds}: the {len(few)} labelled images of {source.name} form {counted(groups, 'group')}: "
            + (f"give {groups} or fewer" if groups > 1 else "folds need at least two patients, sites or films")
        )
    return whole, few, folds


def _unlabelled(source: Source, few: Sequence[Item]) -> tuple[Item, ...]:
    """The items to train on without labels if `few` are labelled."""
    return (*left_out(source.pool, few), *source.extra)


def _ranking_unlabelled(source: Source) -> Source:
    """The source with its declared ranking images among the unlabelled ones."""
    _log.warning(
        "%s: candidates are ranked on folds, so the %d images of the declared ranking split are used without their "
        "labels",
        source.name,
        len(source.validation),
    )
    bare = without_ranking(source)
    return replace(bare, extra=(*bare.extra, *source.validation))


def _remaining_ranking(source: Source, taken: tuple[str, ...]) -> tuple[Item, ...]:
    """The ranking split without the images that a list of labels takes from it.

    Raises:
        UserError: the list takes all of them.
    """
    left = tuple(item for item in source.validation if item.name not in taken)
    if not left:
        raise UserError(
            f"{source.name}: the list of labels names all {len(taken)} images held out for ranking: leave some"
        )
    _log.warning(
        "%s: the list of labels takes %s from the ranking split and leaves %d",
        source.name,
        counted(len(taken), "image"),
        len(left),
    )
    return left
