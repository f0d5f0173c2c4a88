"""What the files of a set say of themselves, decided once for all of them: depth and orientation."""

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
    """Items that know the scale of the set and how their masks lie.

    Attributes:
        items: the items, in their order.
        scale: of all images, those without masks included.
        notes: sentences on how the files were understood.
        warnings: sentences on what may be misunderstood, each with the mend.
    """

    items: tuple[FileItem, ...]
    scale: PixelScale
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def understand_files(items: Sequence[FileItem], others: Sequence[Path], what: str, progress: bool = False) -> FileFacts:
    """Read the headers of all images, and decide on depth and orientation.

    Args:
        items: images with or without masks.
        others: further images of the set, without masks.
        what: the set, for the progress bars.
        progress: whether to show them.
    """
    paths = [*(item.image_path for item in items), *others]
    with progress_bar(len(paths), f"{what} files", progress) as bar:
        headers = dict(zip(paths, threaded(read_header, paths, bar), strict=True))
    scale = find_scale(headers, what, progress)
    notes = list(scale.notes())
    if turns := sum(header.orientation > 1 for header in headers.values() if header is not None):
        notes.append(
            f"{counted(turns, 'image')} rotated upright by {'its' if turns == 1 else 'their'} EXIF orientation"
        )
    matched = match_masks([replace(item, scale=scale) for item in items], headers, what, progress)
    return FileFacts(matched.items, scale, (*notes, *matched.notes), matched.warnings)
