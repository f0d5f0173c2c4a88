"""What a loaded data set is: few labelled images, many unlabelled ones, a ranking split and a test split."""

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
from nas.tasks.data.joined import Joined
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
    "units",
]

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ImageSet:
    """Images of one size, in memory or mapped from disk.

    Attributes:
        images: RGB, N x H x W x 3 uint8; `nas.tasks.data.rows.Rows` of such an array where a fold leaves some out.
        masks: class indices, N x H x W uint8, 255 where void; None where there are no labels.
        names: one name an image, unique within a set.
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
        """Bytes of pixels, masks included."""
        return self.images.nbytes + (0 if self.masks is None else self.masks.nbytes)


@dataclass(frozen=True)
class FewLabelData:
    """A data set as a search uses it; no image is in two of the four sets.

    Attributes:
        name: what was loaded, such as "camvid" or "scenes:day".
        classes: one name a class; a mask holds indices into it.
        palette: one RGB colour a class, for pictures.
        labelled: what the supervised loss sees.
        unlabelled: what semi-supervised methods and pretext tasks may see too; its masks are None.
        validation: what candidates are ranked on.
        test: read once, at the end.
        shifted: whether all but the labelled images are of another set (domain adaptation).
        taken: names of images held out for ranking that are labelled instead, as a list asked.
        native: height and width of the first image of the set to be predicted, before it is resized.
        groups: the group of each labelled image, in order; images of one group stay on one side of every split. An
            image that stands alone is a group by its own name. Given none, all stand alone.
        unlabelled_groups: the same of the unlabelled images.
        folds: how many folds of the labelled images candidates are ranked on (see `nas.tasks.data.folds`); `validation`
            is `labelled` then. 0 for a ranking split of its own.
        scale: how images of more than 8 bits a channel were brought to 8; prediction does it alike.
        summary: what was understood of the set; None of one made by hand, or in a worker.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    labelled: ImageSet
    unlabelled: ImageSet
    validation: ImageSet
    test: ImageSet
    shifted: bool = False
    taken: tuple[str, ...] = ()
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
        """Bytes of pixels in all four sets, of which some may be the same."""
        parts = {id(part): part for part in (self.labelled, self.unlabelled, self.validation, self.test)}
        return sum(part.nbytes for part in parts.values())

    def fold(self, index: int, folds: int, seed: int) -> FewLabelData:
        """See `nas.tasks.data.folds.fold`."""
        from nas.tasks.data.folds import fold

        return fold(self, index, folds, seed)

    @property
    def fingerprint(self) -> str:
        """Tells the set from others wherever it lies: of its classes and of the names of its test images."""
        return fingerprint(self.classes, self.test.names)


def fingerprint(classes: Sequence[str], test: Sequence[str]) -> str:
    """See `FewLabelData.fingerprint`."""
    return hashlib.sha256(json.dumps([list(classes), list(test)]).encode()).hexdigest()[:16]


class Item:
    """One image of a source before it is decoded; subclasses read a file or draw a scene.

    Attributes:
        name: unique within the source; also what label and split files call it.
        sequence: the film it is a frame of, in the order of the names; None for a photo of its own. A film may be cut
            in time.
        group: what it belongs to that must stay whole, such as a patient, a site or copies of one picture; None for
            an image of its own.
    """

    name: str
    sequence: str | None
    group: str | None = None

    @property
    def stems(self) -> tuple[str, ...]:
        """What lists may call it, each perhaps behind the folders it is in."""
        return (self.name,)

    @property
    def file(self) -> Path | None:
        """Where the image is read from, where it is."""
        return None

    def image(self, size: tuple[int, int] | None = None) -> Pixels:
        """RGB at `size` (H, W), or at its own size: H x W x 3."""
        raise NotImplementedError

    def mask(self, size: tuple[int, int] | None = None) -> Pixels:
        """Class indices at `size` (H, W), 255 where void: H x W."""
        raise NotImplementedError

    def pair(self, size: tuple[int, int] | None = None) -> tuple[Pixels, Pixels]:
        """Image and mask, checked against each other."""
        return self.image(size), self.mask(size)


def frame_order(item: Item) -> tuple[tuple[int, str], ...]:
    """A key that puts frame_2 before frame_10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", item.name)
    return tuple((int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts)


def units(items: Sequence[Item]) -> tuple[str, ...]:
    """What each item belongs to and must not be parted from: its film and its group, and what these are linked to."""
    joined = Joined(len(items))
    first: dict[str, int] = {}
    for place, item in enumerate(items):
        for key in _keys(item):
            joined.join(first.setdefault(key, place), place)
    roots = [joined.root(place) for place in range(len(items))]
    names: Mapping[int, str] = {root: _name(items[root]) for root in sorted(set(roots), reverse=True)}
    return tuple(names[root] for root in roots)


def _keys(item: Item) -> list[str]:
    keys = [] if item.group is None else [f"group {item.group}"]
    return keys if item.sequence is None else [*keys, f"film {item.sequence}"]


def _name(item: Item) -> str:
    return next(iter(_keys(item)), item.name)


@dataclass(frozen=True)
class LeftOut:
    """Images that are not used: why, how many, and the first of them."""

    reason: str
    count: int
    first: str


@dataclass(frozen=True)
class Source:
    """What a reader found on disk: items by split, nothing decoded yet.

    Attributes:
        pool: labelled images that may be learnt from.
        validation: labelled images that candidates are ranked on.
        test: labelled images for the end.
        extra: images without any label, which join the unlabelled ones.
        spare: labelled images of no split (beside the cut between pool and validation), for a list of labels or a
            training without a holdout.
        label_files: names to label for a fraction written as "1_8", where the set declares them.
        size: the working size the set proposes, None for that of its first image.
        labels: which images are labelled when nobody says: few of a public set, all of somebody's own.
        ranking_declared: whether the set says itself which images to rank on; else they were cut from the pool.
        test_declared: the same of those to test on.
        copies: labelled images of no split, since they show the pictures of images to rank or test on.
        copied: how many labelled images show the picture of another.
        left_out: what is not used, and why.
        ranking_extra: images without any label that are not learnt from for the sake of those to rank on alone.
        ranking_left_out: the same for `left_out`.
        scale: how images of more than 8 bits a channel are brought to 8; prediction does it alike.
        masks: what the values and colours of the masks were found to mean; None of a set that declares it.
        notes: sentences on how files were understood, which the reader has also logged.
        pictures: thumbnails of the images by name, where the reader compared them.
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
    copied: int = 0
    left_out: tuple[LeftOut, ...] = ()
    ranking_extra: tuple[Item, ...] = ()
    ranking_left_out: tuple[LeftOut, ...] = ()
    scale: PixelScale = EIGHT_BITS
    masks: MaskMeaning | None = None
    notes: tuple[str, ...] = ()
    pictures: Mapping[str, Pixels] = field(default_factory=dict, repr=False)
