"""ADE20K, the scene parsing benchmark: 150 classes with the mask values 1 to 150, and 0 for void."""

from __future__ import annotations

from pathlib import Path

from nas.tasks.data.files import list_images
from nas.tasks.data.items import FileItem, pair_up
from nas.tasks.data.masks import MaskCode
from nas.tasks.data.palettes import ADE20K
from nas.tasks.data.readers.layout import find_root, need_folder
from nas.tasks.data.sets import VOID, Source
from nas.tasks.data.splits import arrange

__all__ = ["read_ade20k"]

_CODE = MaskCode({0: VOID, **{value: value - 1 for value in range(1, 151)}})


def read_ade20k(path: Path, progress: bool = False) -> Source:
    """Read `ade20k:PATH`.

    The official validation split is used for testing; ranking images are drawn from the training split.

    Raises:
        UserError: a folder is missing, or images and masks do not match.
    """
    root = find_root(path, "ade20k", ("images", "annotations"), ("ADEChallengeData2016",))
    splits = arrange(_split(root, "training"), val=_split(root, "validation"))
    return Source("ade20k", tuple(ADE20K), tuple(ADE20K.values()), **splits._asdict())


def _split(root: Path, split: str) -> tuple[FileItem, ...]:
    images = list_images(need_folder(root / "images" / split, "ade20k"))
    masks = list_images(need_folder(root / "annotations" / split, "ade20k"))
    return pair_up(images, masks, _CODE, lambda _: None, f"ade20k:{root / 'images' / split}")
