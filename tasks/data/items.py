"""Items of image files and mask files."""

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
    """An image file with or without a mask file.

    Attributes:
        image_path: the image file.
        mask_path: the mask file, None without a mask.
        code: how to read the mask.
        scale: how to reduce more than 8 bits a channel to 8, the same for all images of a data set.
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
    """Make items of images and their masks.

    Args:
        images: image files by name.
        masks: mask files by stem.
        code: how to read the masks.
        sequence: from a name to the film of the image.
        what: name of the data set, for error messages.
        mask_stems: from a name to the possible stems of the mask; the first that exists is taken.

    Raises:
        UserError: there are no images, or some have no mask; the message counts them and names the first.
    """
    if not images:
        raise UserError(f"{what}: there are no images")
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
            "add the masks, or remove these images"
        )
    return tuple(items)
