"""Bit depth and EXIF orientation of the image files of a data set, decided for the set as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nas.tasks.data.decoding import read_header
from nas.tasks.data.depth import PixelScale, find_scale
from nas.tasks.data.items import FileItem
from nas.tasks.data.orientation import match_masks
from nas.tasks.data.parallel import progress_bar, threaded
from nas.wording import counted

__all__ = ["FileFacts", "understand_files"]


@dataclass(frozen=True)
class FileFacts:
    """Items with the pixel scale of their data set and the orientation of their masks.

    Attributes:
        items: the items, in their order.
        scale: scale of all images, with and without masks.
        notes: sentences on how the files were understood.
        warnings: sentences on what may be misunderstood, each with what to do.
    """

    items: tuple[FileItem, ...]
    scale: PixelScale
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def understand_files(items: Sequence[FileItem], others: Sequence[Path], what: str, progress: bool = False) -> FileFacts:
    """Read the headers of all images, and decide on depth and orientation.

    Args:
        items: images with or without masks.
        others: further images of the set, all without masks.
        what: name of the data set, for the progress bars.
        progress: whether to show progress on standard error.
    """
    paths = [*(item.image_path for item in items), *others]
    with progress_bar(len(paths), f"{what} files", progress) as bar:
        headers = dict(zip(paths, threaded(read_header, paths, bar), strict=True))
    scale = find_scale(headers, what, progress)
    notes = list(scale.notes())
    if rotated := sum(header.orientation > 1 for header in headers.values() if header is not None):
        notes.append(
            f"{counted(rotated, 'image')} rotated upright by {'its' if rotated == 1 else 'their'} EXIF orientation"
        )
    matched = match_masks([replace(item, scale=scale) for item in items], headers, what, progress)
    return FileFacts(matched.items, scale, (*notes, *matched.notes), matched.warnings)
