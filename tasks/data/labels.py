"""Which images of the pool are the labelled ones: a declared list, a file, or a stratified draw."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from nas.errors import UserError
from nas.tasks.data.sets import Item, Source
from nas.tasks.data.stems import pick, read_stems

__all__ = ["choose_labels", "draw_stratified", "is_list"]

_log = logging.getLogger(__name__)


def choose_labels(
    source: Source, labels: str | None, seed: int, presence: Callable[[Sequence[Item]], np.ndarray]
) -> tuple[Item, ...]:
    """The labelled items of the pool, in its order.

    A list, declared or of anyone's, may also name images held out for ranking and spare ones.

    Args:
        source: the set; its `label_files` answer the fractions they are named after.
        labels: "1/8" (a fraction of the pool), "46" (a count), "FILE.txt" (stems), "all", or None
            for the source's own default.
        seed: of the draw, where one is needed.
        presence: from items to a bool matrix, items x classes; asked only when a draw is needed.

    Raises:
        UserError: `labels` cannot be read, or asks for none or for more than there are.
    """
    text = (labels if labels is not None else source.labels).strip()
    if text == "all":
        return source.pool
    if is_list(text):
        return _listed(source, read_stems(Path(text).expanduser()), text)
    declared = source.label_files.get(text.replace("/", "_"))
    if declared is not None:
        return _listed(source, declared, f"{source.name}: labelled_{text.replace('/', '_')}.txt")
    count = _count(text, len(source.pool), source.name)
    if count == len(source.pool):
        return source.pool
    there = presence(source.pool)
    drawn = draw_stratified(there, count, seed)
    _report_missing(source, there, drawn)
    return tuple(item for place, item in enumerate(source.pool) if place in drawn)


def _listed(source: Source, stems: tuple[str, ...], where: str) -> tuple[Item, ...]:
    """The items that a list names, but for those to test on, where the set does not declare them, and their copies.

    A list of all images that have masks is that of the whole pool.

    Raises:
        UserError: it names what is no image to learn from, or nothing that is.
    """
    cut = () if source.test_declared else source.test
    learnt = (*source.pool, *source.validation, *source.spare)
    known = {item.name: item for item in (*learnt, *source.copies, *cut)}
    copies, tested = {item.name for item in source.copies}, {item.name for item in cut}
    bare = {item.name: item for item in source.extra}
    try:
        named = pick(known, stems, where)
    except UserError as error:
        without = next((stem for stem in stems if _is_there(bare, stem) and not _is_there(known, stem)), None)
        if without is None:
            raise
        raise UserError(f"{where}: {without} has no mask, so it cannot be labelled: take it out") from error
    chosen = tuple(item for item in named if item.name not in copies | tested)
    if not chosen:
        raise UserError(f"{where}: it names nothing but images that are held out, or copies of them")
    for what, some in (("held out to test on", tested), ("copies of images to rank or test on", copies)):
        if count := sum(item.name in some for item in named):
            _log.warning("%s: listed images that are not learnt from, being %s: %d", where, what, count)
    whole = not source.ranking_declared and len(chosen) == len(learnt)
    return source.pool if whole else chosen


def _is_there(items: Mapping[str, Item], stem: str) -> bool:
    try:
        return bool(pick(items, (stem,), ""))
    except UserError:
        return False


def is_list(labels: str | None) -> bool:
    """Whether labels are named by a list, FILE.txt."""
    return labels is not None and labels.strip().lower().endswith(".txt")


def draw_stratified(presence: np.ndarray, count: int, seed: int) -> frozenset[int]:
    """Places of `count` items such that every class is in one of them, if `count` allows.

    Classes are seen to from the rarest on: of the items that hold it, the one with the most classes
    still missing is taken. The other places are spread evenly over the items' order, which for films
    is time: one is drawn from each of as many equal stretches.

    Args:
        presence: whether a class is in an item, items x classes.
        count: how many items to draw, at most as many as there are.
        seed: of the draw.
    """
    rng = np.random.default_rng([seed, 8])
    order = rng.permutation(len(presence))
    missing = presence.any(0)
    chosen: list[int] = []
    while missing.any() and len(chosen) < count:
        rarest = min(np.flatnonzero(missing), key=lambda index: int(presence[:, index].sum()))
        gain = (presence[order] & missing).sum(1) * presence[order, rarest]
        best = int(order[int(gain.argmax())])
        chosen.append(best)
        missing &= ~presence[best]
    rest = np.array([place for place in range(len(presence)) if place not in set(chosen)])
    if count > len(chosen):
        chosen += [int(rng.choice(stretch)) for stretch in np.array_split(rest, count - len(chosen))]
    return frozenset(chosen)


def _count(text: str, pool: int, name: str) -> int:
    """How many labels "1/8", "0.125" or "46" asks for."""
    try:
        number = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(
            f"labels {text!r} is not understood: write a fraction (1/8), a count (46), a list of stems "
            "(FILE.txt) or all"
        ) from error
    share = "/" in text or "." in text
    count = round(number * pool) if share else int(number)
    if count < 1:
        raise UserError(f"labels {text}: that is {count} of the {pool} images of {name}; at least 1 is needed")
    if count > pool:
        raise UserError(f"labels {text}: that is {count} images and the pool of {name} has {pool}; ask for fewer")
    return count


def _report_missing(source: Source, presence: np.ndarray, drawn: frozenset[int]) -> None:
    """Warn of classes that are in the pool and not in the draw."""
    lost = presence.any(0) & ~presence[sorted(drawn)].any(0)
    if lost.any():
        names = ", ".join(np.array(source.classes)[lost])
        _log.warning("%s: too few labels for every class, %d; none shows: %s", source.name, len(drawn), names)
