"""Summary of a loaded data set: images by split, classes and their pixels, what is left out, and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from nas.tasks.data.items import FileItem
from nas.tasks.data.sets import VOID, FewLabelData, ImageSet, LeftOut, Source
from nas.wording import counted

__all__ = ["ClassFacts", "Summary", "class_warnings", "summarize", "void_warned"]

LARGE_VOID, LARGE_DECLARED_VOID = 0.2, 0.5
"""Share of void pixels above which a warning is given, in a user's own masks and in those of a public data set."""

NEARLY_ALL = 0.99
"""Share of a class above which a warning is given."""

MOST_LISTED = 20
"""Largest number of classes that a line lists; data.json has all."""

_KINDS = {"validation": "ranking", "test": "test"}


@dataclass(frozen=True)
class ClassFacts:
    """A class and its share of the pixels.

    Attributes:
        name: name of the class.
        values: its values ("2") and colours ("#80c020") in the masks; empty if unknown.
        share: share of the labelled pixels, by split.
    """

    name: str
    values: tuple[str, ...]
    share: Mapping[str, float]


@dataclass(frozen=True)
class Summary:
    """Summary of a loaded data set; its `dataclasses.asdict` is JSON.

    Attributes:
        name: name of the data set.
        images: number of images by split: labelled, unlabelled, validation (0 if there are folds or nothing is held
            out) and test.
        folds: number of folds that candidates are ranked on, 0 for a ranking split.
        left_out: images that are not used.
        classes: the classes in order.
        void: share of void pixels, by split.
        size: height and width of the loaded images.
        native: height and width of the image files and the number of files of each size, the most frequent first.
        depth: how more than 8 bits a channel are reduced to 8, None without such images.
        groups: number of groups of more than one labelled image, films included.
        films: names of the films among the labelled images.
        copies: number of images with masks that are copies of another one.
        notes: sentences on how files were read.
        warnings: all warnings of loading, and what is probably wrong, each with what to do.
    """

    name: str
    images: Mapping[str, int]
    folds: int
    left_out: tuple[LeftOut, ...]
    classes: tuple[ClassFacts, ...]
    void: Mapping[str, float]
    size: tuple[int, int]
    native: tuple[tuple[int, int, int], ...] = ()
    depth: str | None = None
    groups: int = 0
    films: tuple[str, ...] = ()
    copies: int = 0
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    def lines(self) -> list[str]:
        """Return sentences for a log, without the warnings."""
        found = [self._images(), self._classes(), self._sizes()]
        if self.groups or self.copies:
            found.append(self._groups())
        found += [f"Left out: {out.count} {out.reason} (the first is {out.first})." for out in self.left_out]
        return [*found, *(f"{note[:1].upper()}{note[1:]}." for note in self.notes)]

    def short(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: counts, classes with their mask values, and sizes."""
        return {
            "images": dict(self.images),
            "folds": self.folds,
            "classes": {each.name: list(each.values) for each in self.classes},
            "void": {split: round(share, 4) for split, share in self.void.items()},
            "size": list(self.size),
            "native": [list(size) for size in self.native[:5]],
            "depth": self.depth,
            "left_out": [asdict(out) for out in self.left_out],
        }

    def _images(self) -> str:
        images = self.images
        ranking = "" if self.folds else f"{images['validation']} for ranking, "
        folds = f"; candidates are ranked on {self.folds} folds of the training images" if self.folds else ""
        return (
            f"Images: {images['labelled'] + images['validation'] + images['test']} labelled ({images['labelled']} for "
            f"training, {ranking}{images['test']} for testing{folds}), {images['unlabelled']} unlabelled."
        )

    def _classes(self) -> str:
        def one(each: ClassFacts) -> str:
            values = f" ({', '.join(each.values[:4])})" if each.values and each.values != (each.name,) else ""
            return f"{each.name}{values} {_percent(each.share.get('labelled', 0.0))}"

        more = f" and {len(self.classes) - MOST_LISTED} more" if len(self.classes) > MOST_LISTED else ""
        named = ", ".join(one(each) for each in self.classes[:MOST_LISTED])
        void = ", ".join(f"{_percent(share)} of {split}" for split, share in self.void.items())
        return f"Classes, by their share of labelled pixels: {named}{more}. Void pixels: {void}."

    def _sizes(self) -> str:
        height, width = self.size
        natives = ", ".join(f"{h}x{w} ({n})" for h, w, n in self.native[:3])
        more = f" and {len(self.native) - 3} other sizes" if len(self.native) > 3 else ""
        on_disk = f", on disk {natives}{more}" if self.native else ""
        same = all((h, w) == self.size for h, w, _ in self.native)
        return f"Size: {height}x{width} (height x width){on_disk}{'' if same else ', resized'}."

    def _groups(self) -> str:
        films = f", of which {counted(len(self.films), 'film')}" if self.films else ""
        copies = f"; copies of another image: {self.copies}" if self.copies else ""
        return f"Groups of images that splits do not divide: {self.groups} among the labelled{films}{copies}."


def summarize(
    data: FewLabelData,
    source: Source,
    native: Mapping[tuple[int, int], int],
    left_out: Sequence[LeftOut] = (),
    warnings: Sequence[str] = (),
) -> Summary:
    """Summarize a loaded data set.

    Args:
        data: the loaded data set.
        source: the source that it was loaded from.
        native: number of image files by height and width.
        left_out: images that loading left out in addition to those of the source.
        warnings: warnings that were given before.
    """
    parts = {"labelled": data.labelled, "validation": data.validation, "test": data.test}
    ranked_apart = not data.folds and data.validation is not data.test
    if not ranked_apart:
        del parts["validation"]
    counts = {split: _counts(part) for split, part in parts.items()}
    frequent = sorted(native.items(), key=lambda pair: (-pair[1], pair[0]))
    sizes = np.unique(np.array(data.groups, dtype=object).astype(str), return_counts=True)[1]
    images = {"labelled": len(data.labelled), "unlabelled": len(data.unlabelled)}
    return Summary(
        name=data.name,
        images={**images, "validation": len(data.validation) if ranked_apart else 0, "test": len(data.test)},
        folds=data.folds,
        left_out=(*source.left_out, *source.ranking_left_out, *left_out),
        classes=_class_facts(data, source, counts),
        void={split: float(count[VOID] / max(1, count.sum())) for split, count in counts.items()},
        size=data.size,
        native=tuple((height, width, count) for (height, width), count in frequent),
        groups=int((sizes > 1).sum()),
        films=tuple(sorted({group.removeprefix("film ") for group in data.groups if group.startswith("film ")})),
        depth="; ".join(source.scale.notes()) or None,
        copies=source.copy_count,
        notes=source.notes,
        warnings=(*warnings, *_warnings(data, source, counts)),
    )


def _class_facts(data: FewLabelData, source: Source, counts: Mapping[str, np.ndarray]) -> tuple[ClassFacts, ...]:
    known, values = len(data.classes), _values(source)
    shares = {split: count[:known] / max(1, count[:known].sum()) for split, count in counts.items()}
    return tuple(
        ClassFacts(name, values.get(index, ()), {split: float(share[index]) for split, share in shares.items()})
        for index, name in enumerate(data.classes)
    )


def _counts(part: ImageSet) -> np.ndarray:
    """Number of pixels of each of 256 values in the masks of a split."""
    masks = () if part.masks is None else part.masks
    return sum((np.bincount(mask.ravel(), minlength=256) for mask in masks), np.zeros(256, np.int64))


def _values(source: Source) -> dict[int, tuple[str, ...]]:
    """Mask values and colours of each class, as far as known."""
    if source.masks is not None and source.masks.names == source.classes:
        of_name: dict[str, list[str]] = {}
        for level in source.masks.levels:
            of_name.setdefault(level.class_name, []).append(_value(level.value))
        return {index: tuple(of_name.get(name, ())) for index, name in enumerate(source.classes)}
    item = next((item for item in source.pool if isinstance(item, FileItem) and item.code is not None), None)
    found: dict[int, list[str]] = {}
    if item is not None and item.code is not None:
        for value, index in item.code.values.items():
            found.setdefault(index, []).append(str(value))
        for colour, index in item.code.colours.items():
            found.setdefault(index, []).append(_value(colour))
    return {index: tuple(names) for index, names in found.items() if index != VOID}


def _value(value: int | tuple[int, int, int]) -> str:
    return str(value) if isinstance(value, int) else "#" + "".join(f"{part:02x}" for part in value)


def _warnings(data: FewLabelData, source: Source, counts: Mapping[str, np.ndarray]) -> list[str]:
    own = source.masks is not None
    return [*class_warnings(data.classes, counts, void_warned(source), own), *_in_one_fold(data, counts)]


def void_warned(source: Source) -> bool:
    """Whether the reader has warned of void pixels, in more detail than `class_warnings`."""
    return source.masks is not None and bool(source.masks.warnings)


def class_warnings(
    classes: Sequence[str], counts: Mapping[str, np.ndarray], warned: bool = False, own: bool = False
) -> list[str]:
    """Warn of what is probably wrong with the classes, judged by their pixels alone.

    Args:
        classes: name of each class.
        counts: number of pixels of each of 256 values, a class index or 255 for void, by split: labelled, validation
            and test.
        warned: whether a warning of void pixels has been given.
        own: whether the user declares what the masks mean.
    """
    shown = {split: count[: len(classes)] > 0 for split, count in counts.items()}
    void = [] if warned else _void(counts, own)
    return [*_never_labelled(classes, shown), *_never_scored(classes, shown), *void, *_dominant(classes, counts)]


def _never_labelled(classes: Sequence[str], shown: Mapping[str, np.ndarray]) -> list[str]:
    """Warn of classes that are scored but in no labelled image."""
    found = []
    for index, name in enumerate(classes):
        scored = [kind for split, kind in _KINDS.items() if split in shown and shown[split][index]]
        if scored and "labelled" in shown and not shown["labelled"][index]:
            where = f"in the {' and '.join(scored)} images"
            found.append(f"class {name} is {where} but no labelled image shows it: label some that do")
    return found


def _in_one_fold(data: FewLabelData, counts: Mapping[str, np.ndarray]) -> list[str]:
    """Warn of classes in a single labelled image or group: the fold that holds it out trains without them."""
    labelled = counts["labelled"][: len(data.classes)] > 0
    return [
        f"class {name} is in one labelled image or group only, so it is missing from the training when this is held "
        "out: label another image that shows it"
        for index, name in enumerate(data.classes)
        if data.folds and labelled[index] and len(_groups_with(data, index)) == 1
    ]


def _groups_with(data: FewLabelData, index: int) -> set[str]:
    masks = data.labelled.masks
    assert masks is not None
    return {group for group, mask in zip(data.groups, masks, strict=True) if (mask == index).any()}


def _never_scored(classes: Sequence[str], shown: Mapping[str, np.ndarray]) -> list[str]:
    """Warn of classes in no image at all, and of labelled ones in no ranking or no test image."""
    nowhere = [name for index, name in enumerate(classes) if not any(part[index] for part in shown.values())]
    found = []
    if nowhere:
        found.append(f"no image shows the {_classes(nowhere)}: check its value or colour in the masks, or remove it")
    for split in ("validation", "test"):
        absent = [
            name
            for index, name in enumerate(classes)
            if split in shown and "labelled" in shown and shown["labelled"][index] and not shown[split][index]
        ]
        if absent:
            found.append(
                f"no {_KINDS[split]} image shows the {_classes(absent)}, which is labelled: its score will be unknown"
            )
    return found


def _void(counts: Mapping[str, np.ndarray], own: bool) -> list[str]:
    """Warn of a large share of void pixels; see `class_warnings` for `own`."""
    every = sum(counts.values(), np.zeros(256, np.int64))
    share = every[VOID] / max(1, every.sum())
    if share <= (LARGE_VOID if own else LARGE_DECLARED_VOID):
        return []
    advice = ": does classes.json, or --group-classes, name every class?" if own else ""
    return [f"{_percent(share)} of all pixels are void (no label) and are ignored{advice}"]


def _dominant(classes: Sequence[str], counts: Mapping[str, np.ndarray]) -> list[str]:
    known = sum(counts.values(), np.zeros(256, np.int64))[: len(classes)]
    largest = int(known.argmax())
    if known[largest] <= NEARLY_ALL * known.sum():
        return []
    return [f"{_percent(known[largest] / known.sum())} of the labelled pixels are {classes[largest]}: check the masks"]


def _classes(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"{'class' if len(names) == 1 else 'classes'} {', '.join(names[:MOST_LISTED])}{more}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
