"""Find copies: the same picture under two names, also in another format, size, quality or brightness."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import imagehash
import numpy as np
from PIL import Image

from nas.tasks.data.items import FileItem
from nas.tasks.data.joined import DisjointSets
from nas.tasks.data.sets import Pixels
from nas.tasks.data.thumbnails import SIDE

__all__ = ["find_copies", "group_copies"]

HASH_SIDE = 16
"""Side of a hash of 256 bits; hashes of the usual 64 bits are alike by chance too often."""

MOST_BITS = 32
"""Largest number of different bits of copies; other photos differ in 60 or more (benchmarks/copies.py)."""

SPOT = 24
"""Largest difference of copies at any pixel of their thumbnails, in grey levels."""

PLAIN = 2.0
"""Standard deviation of grey levels below which a picture, such as an empty sky, is too plain to be recognised."""

CHUNK = 1024
"""Thumbnails that are compared with all others at once."""


def find_copies(pictures: Pixels) -> list[tuple[int, int]]:
    """Find the pairs of thumbnails that show the same picture.

    A perceptual hash finds candidates of any brightness and contrast. It does not notice small objects, so the pixels
    of the thumbnails are compared as well.

    Args:
        pictures: thumbnails, N x 32 x 32.

    Returns:
        Indices of each pair in ascending order.
    """
    signs = _hashes(pictures).astype(np.float32) * 2 - 1
    fewest = HASH_SIDE**2 - 2 * MOST_BITS
    found: list[tuple[int, int]] = []
    for start in range(0, len(pictures), CHUNK):
        alike = signs[start : start + CHUNK] @ signs.T >= fewest
        for one, row in enumerate(alike, start):
            others = one + 1 + np.flatnonzero(row[one + 1 :])
            same = others[_same_everywhere(pictures[one], pictures[others])] if len(others) else others
            found += [(one, int(other)) for other in same]
    return found


def _hashes(pictures: Pixels) -> np.ndarray:
    """Perceptual hashes, N x 256, bool."""
    images = map(Image.fromarray, pictures)
    hashes = [imagehash.phash(image, HASH_SIDE, SIDE // HASH_SIDE).hash.ravel() for image in images]
    return np.array(hashes, bool).reshape(len(pictures), HASH_SIDE**2)


def _same_everywhere(one: Pixels, others: Pixels) -> np.ndarray:
    """Whether a thumbnail equals each of N others at every pixel, up to brightness and contrast."""
    deviation = np.minimum(one.std(), others.std((1, 2)))
    gap = np.abs(_standardized(one[None]) - _standardized(others)).max((1, 2)) * deviation
    alike: np.ndarray = (gap <= SPOT) & (deviation >= PLAIN)
    return alike


def _standardized(pictures: Pixels) -> np.ndarray:
    """Thumbnails with mean 0 and standard deviation 1."""
    greys = pictures.astype(np.float32)
    centred = greys - greys.mean((1, 2), keepdims=True)
    standardized: np.ndarray = centred / np.maximum(greys.std((1, 2), keepdims=True), 1e-6)
    return standardized


def group_copies(items: Sequence[FileItem], copies: Sequence[tuple[int, int]]) -> tuple[FileItem, ...]:
    """Put copies into one group, joined with the groups that they are in already.

    Args:
        items: the images.
        copies: pairs of indices of `items`.
    """
    sets = DisjointSets(len(items))
    for pair in copies:
        sets.union(*pair)
    of_group: dict[str, int] = {}
    for place, item in enumerate(items):
        if item.group is not None:
            sets.union(of_group.setdefault(item.group, place), place)
    members: dict[int, list[int]] = defaultdict(list)
    for place in range(len(items)):
        members[sets.find(place)].append(place)
    found = list(items)
    for places in members.values():
        names = list(dict.fromkeys(g for g in (items[place].group for place in places) if g is not None))
        if len(places) > 1 and (len(names) != 1 or any(items[place].group is None for place in places)):
            name = " + ".join(names) or items[places[0]].name
            for place in places:
                found[place] = replace(items[place], group=name)
    return tuple(found)
