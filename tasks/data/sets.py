"""Data sets with few labels: before they are decoded (`Source` of `Item`s) and in memory (`FewLabelData`)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nas.tasks.data.depth import EIGHT_BITS, PixelScale
from nas.tasks.data.joined import DisjointSets
from nas.void import VOID

if TYPE_CHECKING:
    from nas.tasks.data.mask_meaning import MaskMeaning
    from nas.tasks.data.summary import Summary

__all__ = [
    "VOID",
    "FewLabelData",
    "ImageSet",
    "Item",
    "LeftOut",
    "Pixels",
    "Source",
    "fingerprint",
    "frame_order",
    "group_labels",
]

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ImageSet:
    """Images of one size, in memory or mapped from disk.

    Attributes:
        images: RGB, N x H x W x 3 uint8; or a `nas.tasks.data.rows.Rows` view where a fold uses some of them.
        masks: class indices, N x H x W uint8, 255 for void; None without labels.
        names: name of each image, unique within a set.
    """

    images: Pixels
    masks: Pixels | None
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[-1] != 3 or len(self.names) != len(self.images):
            raise ValueError(f"images of shape {self.images.shape} do not fit {len(self.names)} names")
        if self.masks is not None and self.masks.shape != self.images.shape[:3]:
            raise ValueError(f"masks of shape {self.masks.shape} do not fit images {self.images.shape}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def nbytes(self) -> int:
        """Bytes of images and masks."""
        return self.images.nbytes + (0 if self.masks is None else self.masks.nbytes)


@dataclass(frozen=True)
class FewLabelData:
    """A data set as a search uses it.

    The four image sets do not overlap, except that `validation` is `labelled` if there are folds, and `test` if nothing
    is held out for ranking.

    Attributes:
        name: name of the data set, such as "camvid" or "scenes:day".
        classes: name of each class; masks hold indices into it.
        palette: RGB colour of each class in pictures.
        labelled: images for the supervised loss.
        unlabelled: images for semi-supervised methods and pretext tasks, without masks.
        validation: images that candidates are ranked on.
        test: images that are used once, at the end.
        shifted: whether all but the labelled images are of another data set (domain adaptation).
        taken_from_ranking: names of ranking images that a list of labels moved to the labelled ones.
        native: height and width of the first image before it is resized; with domain adaptation, of the other set.
        groups: group of each labelled image. Images of a group, such as those of a patient or a film, are on the same
            side of every split and fold. An image without a group has its own name here; by default all have.
        unlabelled_groups: group of each unlabelled image.
        folds: number of folds of the labelled images that candidates are ranked on, see `nas.tasks.data.folds`; 0 for a
            ranking split.
        scale: how images of more than 8 bits a channel were reduced to 8; prediction does the same.
        summary: what was understood of the data set; None for data made by hand or opened in a worker.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    labelled: ImageSet
    unlabelled: ImageSet
    validation: ImageSet
    test: ImageSet
    shifted: bool = False
    taken_from_ranking: tuple[str, ...] = ()
    native: tuple[int, int] | None = None
    groups: tuple[str, ...] = ()
    unlabelled_groups: tuple[str, ...] = ()
    folds: int = 0
    scale: PixelScale = EIGHT_BITS
    summary: Summary | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.groups:
            object.__setattr__(self, "groups", self.labelled.names)
        if not self.unlabelled_groups:
            object.__setattr__(self, "unlabelled_groups", self.unlabelled.names)
        for kind, groups, images in (
            ("labelled", self.groups, self.labelled),
            ("unlabelled", self.unlabelled_groups, self.unlabelled),
        ):
            if len(groups) != len(images):
                raise ValueError(f"{len(groups)} groups do not fit {len(images)} {kind} images")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every image, in pixels."""
        height, width = self.labelled.images.shape[1:3]
        return height, width

    @property
    def nbytes(self) -> int:
        """Bytes of all images and masks, each counted once."""
        parts = {id(part): part for part in (self.labelled, self.unlabelled, self.validation, self.test)}
        return sum(part.nbytes for part in parts.values())

    def fold(self, index: int, folds: int, seed: int) -> FewLabelData:
        """See `nas.tasks.data.folds.fold`."""
        from nas.tasks.data.folds import fold

        return fold(self, index, folds, seed)

    @property
    def fingerprint(self) -> str:
        """A hash of the classes and the names of the test images, which identifies the data set under any path."""
        return fingerprint(self.classes, self.test.names)


def fingerprint(classes: Sequence[str], test: Sequence[str]) -> str:
    """See `FewLabelData.fingerprint`."""
    return hashlib.sha256(json.dumps([list(classes), list(test)]).encode()).hexdigest()[:16]


class Item:
    """An image that is not decoded yet; subclasses read a file or draw a scene.

    Attributes:
        name: name of the image, unique within its source.
        sequence: film of which it is a frame, in the order of the names; None for a photo. A film may be cut in time.
        group: patient, site or copies of a picture to which it belongs, which no split may divide; None without one.
    """

    name: str
    sequence: str | None
    group: str | None = None

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the image in lists, which may put folders before them."""
        return (self.name,)

    @property
    def file(self) -> Path | None:
        """The file of the image, None if it is drawn."""
        return None

    def image(self, size: tuple[int, int] | None = None) -> Pixels:
        """Return RGB, H x W x 3, at `size` (H, W), or at the own size."""
        raise NotImplementedError

    def mask(self, size: tuple[int, int] | None = None) -> Pixels:
        """Return class indices, H x W, 255 for void, at `size` (H, W), or at the own size."""
        raise NotImplementedError

    def pair(self, size: tuple[int, int] | None = None) -> tuple[Pixels, Pixels]:
        """Return image and mask, after checking that they fit each other."""
        return self.image(size), self.mask(size)


def frame_order(item: Item) -> tuple[tuple[int, str], ...]:
    """Sort key that puts frame_2 before frame_10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", item.name)
    return tuple((int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts)


def group_labels(items: Sequence[Item]) -> tuple[str, ...]:
    """Label each item by its film and group; items with the same label must stay on one side of a split.

    Films and groups that share an item have one label. An item of neither has its own name as label.
    """
    sets = DisjointSets(len(items))
    first: dict[str, int] = {}
    for place, item in enumerate(items):
        for key in _keys(item):
            sets.union(first.setdefault(key, place), place)
    roots = [sets.find(place) for place in range(len(items))]
    names: Mapping[int, str] = {root: _name(items[root]) for root in sorted(set(roots), reverse=True)}
    return tuple(names[root] for root in roots)


def _keys(item: Item) -> list[str]:
    keys = [] if item.group is None else [f"group {item.group}"]
    return keys if item.sequence is None else [*keys, f"film {item.sequence}"]


def _name(item: Item) -> str:
    return next(iter(_keys(item)), item.name)


@dataclass(frozen=True)
class LeftOut:
    """Images that are not used: the reason, how many, and the name of the first."""

    reason: str
    count: int
    first: str


@dataclass(frozen=True)
class Source:
    """The items of a data set by split, not decoded yet.

    Attributes:
        name: name of the data set.
        classes: name of each class.
        palette: RGB colour of each class in pictures.
        pool: images with masks to train on.
        validation: images with masks to rank candidates on.
        test: images with masks to test on.
        extra: images without masks, which join the unlabelled ones.
        spare: images with masks in no split, from the gaps between pool and validation. They are used if a list of
            labels names them, or if nothing is held out for ranking.
        label_files: lists of images to label that the data set declares, by fraction, such as "1_8".
        size: working size that the data set proposes, None for that of its first image.
        labels: default of the `labels` of `load_data`.
        ranking_declared: whether the data set declares `validation`; else it was divided from the pool.
        test_declared: whether the data set declares `test`.
        copies: images with masks in no split, because they are copies of ranking or test images.
        copy_count: number of images with masks that are copies of another one.
        left_out: what is not used, and why.
        ranking_extra: images without masks that are left out only because of the ranking images, as copies or by their
            group. They are used if nothing is held out for ranking.
        ranking_left_out: entries of `left_out` for `ranking_extra`.
        scale: how to reduce images of more than 8 bits a channel to 8; prediction does the same.
        masks: what the values and colours of the masks mean; None if the kind of data set defines it.
        notes: sentences on how the files were understood, which the reader has logged too.
        thumbnails: thumbnails of the images by name, if the reader made them.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    pool: tuple[Item, ...]
    validation: tuple[Item, ...]
    test: tuple[Item, ...]
    extra: tuple[Item, ...] = ()
    spare: tuple[Item, ...] = ()
    label_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    labels: str = "1/8"
    ranking_declared: bool = True
    test_declared: bool = True
    copies: tuple[Item, ...] = ()
    copy_count: int = 0
    left_out: tuple[LeftOut, ...] = ()
    ranking_extra: tuple[Item, ...] = ()
    ranking_left_out: tuple[LeftOut, ...] = ()
    scale: PixelScale = EIGHT_BITS
    masks: MaskMeaning | None = None
    notes: tuple[str, ...] = ()
    thumbnails: Mapping[str, Pixels] = field(default_factory=dict, repr=False)
