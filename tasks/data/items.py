"""Items that are files: an image, its mask, and the check that the two fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nas.errors import UserError
from nas.tasks.data.decoding import apply_orientation
from nas.tasks.data.depth import EIGHT_BITS, PixelScale
from nas.tasks.data.files import read_image, resize
from nas.tasks.data.masks import MaskCode, read_mask
from nas.tasks.data.sets import Item, Pixels
from nas.tasks.data.texts import composed

__all__ = ["FileItem", "pair_up"]


@dataclass(frozen=True)
class FileItem(Item):
    """An image file and, where there is one, the file of its mask.

    Attributes:
        scale: how images of more than 8 bits are brought to 8, the same for all of a set.
        mask_orientation: EXIF orientation to apply to the mask, if it has the order of the stored pixels; else 1.
    """

    name: str
    image_path: Path
    mask_path: Path | None = None
    code: MaskCode | None = None
    sequence: str | None = None
    group: str | None = None
    scale: PixelScale = EIGHT_BITS
    mask_orientation: int = 1

    @property
    def stems(self) -> tuple[str, ...]:
        return self.name, str(PurePosixPath(self.name).with_name(composed(self.image_path.stem)))

    @property
    def file(self) -> Path | None:
        return self.image_path

    def image(self, size: tuple[int, int] | None = None) -> Pixels:
        return resize(read_image(self.image_path, self.scale), size)

    def mask(self, size: tuple[int, int] | None = None) -> Pixels:
        return resize(self._whole_mask(), size, labels=True)

    def pair(self, size: tuple[int, int] | None = None) -> tuple[Pixels, Pixels]:
        image, mask = read_image(self.image_path, self.scale), self._whole_mask()
        if image.shape[:2] != mask.shape:
            (height, width), (mask_height, mask_width) = image.shape[:2], mask.shape
            raise UserError(
                f"{self.mask_path} is {mask_width} x {mask_height} pixels and its image {self.image_path} is "
                f"{width} x {height}: a mask must have the size of its image"
            )
        return resize(image, size), resize(mask, size, labels=True)

    def _whole_mask(self) -> Pixels:
        if self.mask_path is None or self.code is None:
            raise UserError(f"{self.image_path} has no mask")
        return apply_orientation(read_mask(self.mask_path, self.code), self.mask_orientation)


def pair_up(
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    code: MaskCode,
    sequence: Callable[[str], str | None],
    what: str,
    mask_stems: Callable[[str], Iterable[str]] = lambda stem: (stem,),
) -> tuple[FileItem, ...]:
    """Items for images (by name) and the mask of each, found under the first of `mask_stems(name)` there is.

    Raises:
        UserError: there is no image, or some have no mask; the first is named and all are counted.
    """
    if not images:
        raise UserError(f"{what}: there is no image there")
    items, bare = [], []
    for name, path in images.items():
        mask = next((masks[stem] for stem in mask_stems(name) if stem in masks), None)
        if mask is None:
            bare.append(path)
        else:
            items.append(FileItem(name, path, mask, code, sequence(name)))
    if bare:
        raise UserError(
            f"{what}: {len(bare)} of {len(images)} images have no mask, the first is {bare[0]}: "
            "add the masks, or move these images out (in a folder of your own to unlabelled/)"
        )
    return tuple(items)
