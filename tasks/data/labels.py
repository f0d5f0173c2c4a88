"""Choose the labelled images: from a declared list, a file, or a stratified draw."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from nas.errors import UserError
from nas.tasks.data.sets import Item, Source
from nas.tasks.data.stems import pick, read_stems
from nas.wording import counted

__all__ = ["choose_labels", "draw_stratified", "is_list"]

_log = logging.getLogger(__name__)


def choose_labels(
    source: Source, labels: str | None, seed: int, presence: Callable[[Sequence[Item]], np.ndarray]
) -> tuple[Item, ...]:
    """Choose the labelled items of a source, in its order.

    Args:
        source: the data set; a fraction with an entry in its `label_files` uses this list.
        labels: "1/8" (fraction of the pool), "46" (number), "FILE.txt" (list of stems), "all", or None for the default
            of the source. Lists may also name ranking images and spare ones.
        seed: seed of the draw, if there is one.
        presence: from items to the classes that each shows, items x classes, bool; only called for a draw.

    Raises:
        UserError: `labels` cannot be read, or asks for no image or for more than there are.
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
    shown = presence(source.pool)
    drawn = draw_stratified(shown, count, seed)
    _warn_of_missing_classes(source, shown, drawn)
    return tuple(item for place, item in enumerate(source.pool) if place in drawn)


def _listed(source: Source, stems: tuple[str, ...], where: str) -> tuple[Item, ...]:
    """The items that a list names, without copies of held-out images.

    Test images that are not declared are left out with a warning; a list of all images with masks means the pool.

    Raises:
        UserError: the list names something else than an image to train on, or no image to train on.
    """
    undeclared_test = () if source.test_declared else source.test
    trainable = (*source.pool, *source.validation, *source.spare)
    known = {item.name: item for item in (*trainable, *source.copies, *undeclared_test)}
    copies, test = {item.name for item in source.copies}, {item.name for item in undeclared_test}
    named = _pick_labelled(known, {item.name: item for item in source.extra}, stems, where)
    chosen = tuple(item for item in named if item.name not in copies | test)
    if not chosen:
        raise UserError(f"{where}: all listed images are held out, or copies of held-out images: list others")
    for kind, some in (("test images", test), ("copies of ranking or test images", copies)):
        if count := sum(item.name in some for item in named):
            _log.warning("%s: %s not trained on: %s", where, counted(count, "listed image"), kind)
    whole = not source.ranking_declared and len(chosen) == len(trainable)
    return source.pool if whole else chosen


def _pick_labelled(
    known: Mapping[str, Item], bare: Mapping[str, Item], stems: tuple[str, ...], where: str
) -> tuple[Item, ...]:
    """Pick items by a list, with a specific error for images without a mask."""
    try:
        return pick(known, stems, where)
    except UserError as error:
        without = next((stem for stem in stems if _names_one(bare, stem) and not _names_one(known, stem)), None)
        if without is None:
            raise
        raise UserError(f"{where}: {without} has no mask, so it cannot be labelled: remove it") from error


def _names_one(items: Mapping[str, Item], stem: str) -> bool:
    try:
        return bool(pick(items, (stem,), ""))
    except UserError:
        return False


def is_list(labels: str | None) -> bool:
    """Whether `labels` is a list, FILE.txt."""
    return labels is not None and labels.strip().lower().endswith(".txt")


def draw_stratified(presence: np.ndarray, count: int, seed: int) -> frozenset[int]:
    """Draw items so that every class is shown, if `count` allows.

    Beginning with the rarest missing class, the item that shows it and the most other missing classes is taken. The
    remaining items are spread evenly over the order of the items, which for films is time: the rest is divided into
    equal stretches, and one item of each is drawn.

    Args:
        presence: which classes each item shows, items x classes, bool.
        count: number of items to draw, at most the number of items.
        seed: seed of the draw.

    Returns:
        Indices of the drawn items.
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
    """The number of labels of "1/8", "0.125" or "46"."""
    try:
        number = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(
            f"labels {text!r} is not understood: write a fraction (1/8), a number (46), a list of stems "
            "(FILE.txt) or all"
        ) from error
    share = "/" in text or "." in text
    count = round(number * pool) if share else int(number)
    if count < 1:
        raise UserError(f"labels {text}: that is {count} of the {pool} images of {name}: at least 1 is needed")
    if count > pool:
        raise UserError(f"labels {text}: that is {count} images, but the pool of {name} has {pool}: ask for fewer")
    return count


def _warn_of_missing_classes(source: Source, presence: np.ndarray, drawn: frozenset[int]) -> None:
    """Warn of classes that the pool shows and the drawn images do not."""
    lost = presence.any(0) & ~presence[sorted(drawn)].any(0)
    if lost.any():
        names = ", ".join(np.array(source.classes)[lost])
        _log.warning("%s: too few labels (%d) to show every class; missing: %s", source.name, len(drawn), names)
