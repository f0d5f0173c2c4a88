"""Cityscapes: leftImg8bit and gtFine with label ids or train ids, 19 classes."""

from __future__ import annotations

from pathlib import Path

from nas.tasks.data.files import list_images
from nas.tasks.data.items import FileItem, pair_up
from nas.tasks.data.masks import MaskCode
from nas.tasks.data.palettes import CITYSCAPES, CITYSCAPES_TRAIN_IDS
from nas.tasks.data.readers.layout import find_root, need_folder
from nas.tasks.data.sets import VOID, Source
from nas.tasks.data.splits import arrange

__all__ = ["read_cityscapes"]

_IMAGE = "_leftImg8bit"
_CODES = {
    "_gtFine_labelIds": MaskCode({**{label: CITYSCAPES_TRAIN_IDS.get(label, VOID) for label in range(34)}, 255: VOID}),
    "_gtFine_labelTrainIds": MaskCode({**{train: train for train in range(19)}, 255: VOID}),
}


def read_cityscapes(path: Path, progress: bool = False) -> Source:
    """Read `cityscapes:PATH`.

    The official validation split is used for testing; ranking images are the last third of each training city.

    Raises:
        UserError: a folder is missing, or images and masks do not match.
    """
    root = find_root(path, "cityscapes", ("leftImg8bit", "gtFine"))
    splits = arrange(_split(root, "train"), val=_split(root, "val"))
    return Source("cityscapes", tuple(CITYSCAPES), tuple(CITYSCAPES.values()), **splits._asdict())


def _split(root: Path, split: str) -> tuple[FileItem, ...]:
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    folder = need_folder(root / "leftImg8bit" / split, "cityscapes")
    for city in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        images |= {stem.removesuffix(_IMAGE): file for stem, file in list_images(city).items() if stem.endswith(_IMAGE)}
        labels = root / "gtFine" / split / city.name
        masks |= list_images(labels) if labels.is_dir() else {}
    kind = next((kind for kind in _CODES if any(stem.endswith(kind) for stem in masks)), "_gtFine_labelIds")
    return pair_up(
        images,
        masks,
        _CODES[kind],
        lambda name: name.split("_")[0],
        f"cityscapes:{folder}",
        lambda name: (name + kind,),
    )
