"""Check for copies of images, and for neighbouring frames of a film in different splits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nas.tasks.data.copies import find_copies
from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.films import MUCH_LESS, NEAR
from nas.tasks.data.sets import Pixels
from nas.tasks.data.thumbnails import difference
from nas.wording import counted

__all__ = ["check_copies"]

CHUNK = 512
"""Thumbnails that are compared with all others at once."""

TRAINING = ("labelled", "unlabelled")


def check_copies(examined: Examined) -> list[Finding]:
    """Find copies across splits, copies within one split, and neighbouring frames across splits."""
    images = _Images(examined)
    if len(images.names) < 2:
        return []
    thumbnails = np.stack([facts.thumbnail for facts in examined.readable.values() if facts.thumbnail is not None])
    copies = [pair for pair in find_copies(thumbnails) if not images.in_one_film(pair)]
    known = set(copies)
    near = [pair for pair in _near(thumbnails) if images.across_splits(pair) and pair not in known]
    across = [pair for pair in copies if images.across_splits(pair)]
    within = [pair for pair in copies if not images.across_splits(pair)]
    found = []
    if across:
        found.append(
            Finding(
                "error",
                f"{counted(len(across), 'picture')} on both sides of a split: scores will look better than they are",
                images.describe(across),
                "Remove one of each, or put both into the same split.",
            )
        )
    if within:
        found.append(
            Finding(
                "warning",
                f"{counted(len({later for _, later in within}), 'picture')} under two names",
                images.describe(within),
                "Remove one of each, unless that is intended; copies of ranking and test images are not trained on.",
            )
        )
    if near:
        found.append(
            Finding(
                "warning",
                f"{counted(len(near), 'pair')} of nearly the same view on both sides of a split, like neighbouring "
                "frames of a film",
                images.describe(near),
                "Keep frames of one film in one split, by groups.csv or by the folders.",
            )
        )
    return found


class _Images:
    """The images that have a thumbnail, by their position, with their splits and films."""

    def __init__(self, examined: Examined) -> None:
        self.names = [name for name, facts in examined.readable.items() if facts.thumbnail is not None]
        self.paths = [examined.images[name].path for name in self.names]
        split_of = {name: split for split, members in examined.splits.items() for name in members}
        self.splits = [split_of.get(name, "") for name in self.names]
        self.sides = ["training" if split in TRAINING else split for split in self.splits]
        items = examined.members.items
        self.films = [items[name].sequence if name in items else None for name in self.names]

    def in_one_film(self, pair: tuple[int, int]) -> bool:
        """Whether two images are frames of the same film."""
        one, other = (self.films[place] for place in pair)
        return one is not None and one == other

    def across_splits(self, pair: tuple[int, int]) -> bool:
        """Whether two images are in different splits; labelled and unlabelled images are both for training."""
        one, other = (self.sides[place] for place in pair)
        return bool(one and other) and one != other

    def describe(self, pairs: list[tuple[int, int]]) -> tuple[str, ...]:
        """The two paths of each pair, with their splits."""
        shown = [
            f"{path} ({split})" if split else str(path) for path, split in zip(self.paths, self.splits, strict=True)
        ]
        return tuple(" and ".join(shown[place] for place in pair) for pair in pairs)


def _near(pictures: Pixels) -> Iterator[tuple[int, int]]:
    """Pairs of thumbnails that are much more alike than two images of the set usually are."""
    order = np.random.default_rng(0).permutation(len(pictures))
    usual = float(np.median(difference(pictures[order], pictures[np.roll(order, 1)])))
    limit = min(NEAR, MUCH_LESS * usual)
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    squares, variances = (flat**2).mean(1), flat.var(1)
    for start in range(0, len(flat), CHUNK):
        rows = slice(start, start + CHUNK)
        between = squares[rows, None] + squares - 2 / flat.shape[1] * flat[rows] @ flat.T
        alike = between <= limit * (variances[rows, None] + variances + 1)
        yield from ((start + int(one), int(other)) for one, other in np.argwhere(alike) if start + one < other)
