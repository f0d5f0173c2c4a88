"""Copies among files: unlabelled images that are those which candidates are ranked or tested on."""

from __future__ import annotations

import filecmp
import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tasks.data.items import FileItem
from tasks.data.sets import Item

__all__ = ["without_copies"]

_log = logging.getLogger(__name__)


def without_copies(items: Sequence[FileItem], held_out: Sequence[Item]) -> tuple[FileItem, ...]:
    """The items whose files are not, byte for byte, one of the held-out images; the others are counted in a warning.

    To learn from an image that one is tested on, even without its labels, makes the score look better than it is.
    """
    by_bytes: dict[int, list[Path]] = defaultdict(list)
    for item in held_out:
        if isinstance(item, FileItem):
            by_bytes[item.image_path.stat().st_size].append(item.image_path)
    kept = tuple(item for item in items if not _copied(item.image_path, by_bytes))
    if len(kept) < len(items):
        _log.warning(
            "unlabelled images that are copies of images to rank or test on, left out: %d", len(items) - len(kept)
        )
    return kept


def _copied(path: Path, by_bytes: dict[int, list[Path]]) -> bool:
    alike = by_bytes.get(path.stat().st_size, ())
    return any(filecmp.cmp(path, other, shallow=False) for other in alike)
