"""PASCAL VOC segmentation: palette masks (or the index masks of the augmented set), 21 classes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from nas.errors import UserError
from nas.tasks.data.files import list_images
from nas.tasks.data.items import FileItem, pair_up
from nas.tasks.data.masks import MaskCode
from nas.tasks.data.palettes import VOC
from nas.tasks.data.readers.layout import find_root
from nas.tasks.data.sets import VOID, Source
from nas.tasks.data.splits import arrange
from nas.tasks.data.stems import read_stems

__all__ = ["read_voc"]

_BORDER = (224, 224, 192)
_CODE = MaskCode(
    {**{index: index for index in range(21)}, 255: VOID},
    {**{colour: index for index, colour in enumerate(VOC.values())}, _BORDER: VOID},
)


def read_voc(path: Path, progress: bool = False) -> Source:
    """Read `voc:PATH`, where PATH is the folder VOC2012 or one that holds it.

    The official validation list is used for testing; ranking images are drawn from the training list. This is
    trainaug.txt if it and SegmentationClassAug exist, else train.txt.

    Raises:
        UserError: a folder or list is missing, or images and masks do not match.
    """
    marks = ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation")
    within = ("VOC2012", "VOCdevkit/VOC2012", "VOC2007", "VOCdevkit/VOC2007")
    root = find_root(path, "voc", marks, within)
    lists = root / "ImageSets" / "Segmentation"
    masks = list_images(root / "SegmentationClass")
    train = lists / "train.txt"
    if (lists / "trainaug.txt").is_file() and (root / "SegmentationClassAug").is_dir():
        masks = list_images(root / "SegmentationClassAug") | masks
        train = lists / "trainaug.txt"
    images = list_images(root / "JPEGImages")
    splits = arrange(_listed(train, images, masks), val=_listed(lists / "val.txt", images, masks))
    return Source("voc", tuple(VOC), tuple(VOC.values()), **splits._asdict())


def _listed(file: Path, images: dict[str, Path], masks: dict[str, Path]) -> tuple[FileItem, ...]:
    # Published lists of trainaug have "/JPEGImages/" before each stem.
    stems = [PurePosixPath(stem).name for stem in read_stems(file)]
    missing = [stem for stem in stems if stem not in images]
    if missing:
        raise UserError(f"{file}: {len(missing)} of {len(stems)} images are missing, the first is {missing[0]}")
    return pair_up({stem: images[stem] for stem in stems}, masks, _CODE, lambda _: None, f"voc:{file}")
