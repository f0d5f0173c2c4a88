"""What was understood of a data set, as plain data: images by split, classes and their pixels, what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from nas.tasks.data.items import FileItem
from nas.tasks.data.sets import VOID, FewLabelData, ImageSet, LeftOut, Source
from nas.wording import counted

__all__ = ["ClassFacts", "Summary", "class_warnings", "summarize", "void_told"]

LARGE_VOID, LARGE_DECLARED_VOID = 0.2, 0.5
"""Share of void pixels above which 255 may well be a class, in masks of one's own and in those of a public set."""

NEARLY_ALL = 0.99
"""Share of one class above which there may be nothing to learn."""

SAID = 20
"""Classes that a line names; data.json has all."""

_WORDS = {"validation": "ranked on", "test": "tested on"}


@dataclass(frozen=True)
class ClassFacts:
    """A class.

    Attributes:
        name: of the class.
        values: how masks say it: values ("2") and colours ("#80c020"); empty where they are not known.
        share: of the pixels that have a label, by split.
    """

    name: str
    values: tuple[str, ...]
    share: Mapping[str, float]


@dataclass(frozen=True)
class Summary:
    """What was understood of a data set; `dataclasses.asdict` of it is JSON.

    Attributes:
        name: of the set.
        images: how many, by split: labelled, unlabelled, validation (what is ranked on, where that is apart)
            and test.
        folds: of the labelled images that candidates are ranked on, 0 for none.
        left_out: images that are not used.
        classes: the classes in order.
        void: share of pixels without a label, by split.
        size: height and width to work at.
        native: the sizes that images have on disk (height, width) and how many have each, the most frequent first.
        depth: how images of more than 8 bits are brought to 8, None where there are none.
        groups: how many groups of more than one image the labelled images make; films are among them.
        films: names of the films among the labelled images.
        copies: how many images with masks show the picture of another.
        notes: sentences on how files were read.
        warnings: what is probably wrong, and the mend; everything that was warned of while loading.
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
        """Sentences for a log, without the warnings."""
        found = [self._images(), self._classes(), self._sizes()]
        if self.groups or self.copies:
            found.append(self._together())
        found += [f"Left out: {out.count} {out.reason} (the first is {out.first})." for out in self.left_out]
        return [*found, *(f"{note[:1].upper()}{note[1:]}." for note in self.notes)]

    def short(self) -> dict[str, Any]:
        """What a checkpoint keeps: counts, classes with the values of their masks, and sizes."""
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
        ranked = "" if self.folds else f"{images['validation']} to rank on, "
        folds = f"; ranked on {self.folds} folds of those to learn from" if self.folds else ""
        return (
            f"Images: {images['labelled'] + images['validation'] + images['test']} labelled ({images['labelled']} to "
            f"learn from, {ranked}{images['test']} to test on{folds}), {images['unlabelled']} unlabelled."
        )

    def _classes(self) -> str:
        def one(each: ClassFacts) -> str:
            values = f" ({', '.join(each.values[:4])})" if each.values and each.values != (each.name,) else ""
            return f"{each.name}{values} {_percent(each.share.get('labelled', 0.0))}"

        more = f" and {len(self.classes) - SAID} more" if len(self.classes) > SAID else ""
        named = ", ".join(one(each) for each in self.classes[:SAID])
        void = ", ".join(f"{_percent(share)} of {split}" for split, share in self.void.items())
        return f"Classes, by their share of labelled pixels: {named}{more}. Void pixels: {void}."

    def _sizes(self) -> str:
        height, width = self.size
        natives = ", ".join(f"{h}x{w} ({n})" for h, w, n in self.native[:3])
        more = f" and {len(self.native) - 3} other sizes" if len(self.native) > 3 else ""
        on_disk = f", on disk {natives}{more}" if self.native else ""
        same = all((h, w) == self.size for h, w, _ in self.native)
        return f"Size: {height}x{width} (height x width){on_disk}{'' if same else ', resized'}."

    def _together(self) -> str:
        films = f", of which {counted(len(self.films), 'film')}" if self.films else ""
        copies = f"; copies of another image: {self.copies}" if self.copies else ""
        return f"Images that belong together: {counted(self.groups, 'group')} among the labelled{films}{copies}."


def summarize(
    data: FewLabelData,
    source: Source,
    native: Mapping[tuple[int, int], int],
    left_out: Sequence[LeftOut] = (),
    warnings: Sequence[str] = (),
) -> Summary:
    """See what there is.

    Args:
        data: the loaded set.
        source: what it was loaded from.
        native: how many images have which height and width on disk.
        left_out: what loading left out, beside what the source did.
        warnings: what was warned of before.
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
        copies=source.copied,
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
    """Pixels of each of 256 values in the masks of a split."""
    masks = () if part.masks is None else part.masks
    return sum((np.bincount(mask.ravel(), minlength=256) for mask in masks), np.zeros(256, np.int64))


def _values(source: Source) -> dict[int, tuple[str, ...]]:
    """The values and colours of masks that stand for each class, where they are known."""
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
    return [*class_warnings(data.classes, counts, void_told(source), own), *_folded_out(data, counts)]


def void_told(source: Source) -> bool:
    """Whether the reader warned of void when it saw the masks, which it says better."""
    return source.masks is not None and bool(source.masks.warnings)


def class_warnings(
    classes: Sequence[str], counts: Mapping[str, np.ndarray], told: bool = False, own: bool = False
) -> list[str]:
    """What is probably wrong with the classes of a set, by their pixels alone.

    Args:
        classes: one name each.
        counts: pixels of each of 256 values, a class index or 255 for void, by split: labelled, validation, test.
        told: whether void has been warned of.
        own: whether the user says what the masks mean.
    """
    shown = {split: count[: len(classes)] > 0 for split, count in counts.items()}
    void = [] if told else _void(counts, own)
    return [*_unlearnt(classes, shown), *_unseen(classes, shown), *void, *_single(classes, counts)]


def _unlearnt(classes: Sequence[str], shown: Mapping[str, np.ndarray]) -> list[str]:
    """Classes that are scored and cannot be learnt."""
    found = []
    for index, name in enumerate(classes):
        scored = [word for split, word in _WORDS.items() if split in shown and shown[split][index]]
        if scored and "labelled" in shown and not shown["labelled"][index]:
            found.append(f"class {name} is {' and '.join(scored)} but no labelled image shows it: label some that do")
    return found


def _folded_out(data: FewLabelData, counts: Mapping[str, np.ndarray]) -> list[str]:
    """Classes that the fold which holds them out cannot learn."""
    labelled = counts["labelled"][: len(data.classes)] > 0
    return [
        f"class {name} is in one labelled image or group alone, so the fold that holds it out cannot learn it: "
        "label another"
        for index, name in enumerate(data.classes)
        if data.folds and labelled[index] and len(_groups_with(data, index)) == 1
    ]


def _groups_with(data: FewLabelData, index: int) -> set[str]:
    masks = data.labelled.masks
    assert masks is not None
    return {group for group, mask in zip(data.groups, masks, strict=True) if (mask == index).any()}


def _unseen(classes: Sequence[str], shown: Mapping[str, np.ndarray]) -> list[str]:
    """Classes that are not scored, or never show."""
    nowhere = [name for index, name in enumerate(classes) if not any(part[index] for part in shown.values())]
    found = [f"no image shows the {_classes(nowhere)}: see how masks say it, or leave it out"] if nowhere else []
    for split in ("validation", "test"):
        absent = [
            name
            for index, name in enumerate(classes)
            if split in shown and "labelled" in shown and shown["labelled"][index] and not shown[split][index]
        ]
        if absent:
            side = "rank on" if split == "validation" else "test on"
            found.append(f"no image to {side} shows the {_classes(absent)}, which is labelled: its score is not known")
    return found


def _void(counts: Mapping[str, np.ndarray], own: bool) -> list[str]:
    """A large share of void pixels; `own` where the user says what the masks mean."""
    every = sum(counts.values(), np.zeros(256, np.int64))
    share = every[VOID] / max(1, every.sum())
    if share <= (LARGE_VOID if own else LARGE_DECLARED_VOID):
        return []
    mend = ": does classes.json, or the grouping of classes, name every class?" if own else ""
    return [f"{_percent(share)} of all pixels are void (no label) and count for nothing{mend}"]


def _single(classes: Sequence[str], counts: Mapping[str, np.ndarray]) -> list[str]:
    known = sum(counts.values(), np.zeros(256, np.int64))[: len(classes)]
    largest = int(known.argmax())
    if known[largest] <= NEARLY_ALL * known.sum():
        return []
    return [
        f"{_percent(known[largest] / known.sum())} of the labelled pixels are {classes[largest]}: "
        "are the masks what they should be?"
    ]


def _classes(names: Sequence[str]) -> str:
    more = f" and {len(names) - SAID} more" if len(names) > SAID else ""
    return f"{'class' if len(names) == 1 else 'classes'} {', '.join(names[:SAID])}{more}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
