"""Films among numbered images: frames are told from separate photos by the pictures themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from nas.tasks.data.items import FileItem
from nas.tasks.data.sets import Pixels, frame_order
from nas.tasks.data.thumbnails import difference

__all__ = ["find_films"]

SHORT = 9
"""Frames that a film needs to be cut in time; fewer stay together as a group."""

SAME = 0.01
"""Difference of thumbnails up to which two images are of one moment, whatever the others are like."""

NEAR = 0.05
"""The same where they are also much more alike than images that are far apart."""

MUCH = 0.3
"""What "much more alike" is: this times the difference of images far apart."""

DRIFT = 0.6
"""A slow film: neighbours differ by at most this times what images far apart do, ..."""

IN_ORDER = 0.72
"""... and an image is more like the next than like the second and third next, at least so often."""

SURE = 3.0
"""Standard deviations by which that share must exceed the half that separate photos have."""


def find_films(items: Sequence[FileItem], pictures: Pixels) -> tuple[FileItem, ...]:
    """The items with the films and short bursts that their thumbnails (N x 32 x 32) show.

    `sequence` is a guess by name beforehand. Afterwards it is a film whose neighbouring frames are nearly identical,
    or that drifts from each picture to the next; runs of fewer than nine such frames become a `group`.
    """
    order: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        if item.sequence is not None and item.group is None:
            order.setdefault(item.sequence, []).append(place)
    found = list(items)
    for sequence, places in order.items():
        places.sort(key=lambda place: frame_order(items[place]))
        for number, run in enumerate(_runs(pictures[places])):
            members = [places[index] for index in run]
            name = sequence if len(run) == len(places) else f"{sequence} {number}"
            first = items[members[0]].name
            for place in members:
                if len(run) >= SHORT:
                    found[place] = replace(items[place], sequence=name)
                else:
                    found[place] = replace(items[place], sequence=None, group=first if len(run) > 1 else None)
    return tuple(found)


def _runs(pictures: Pixels) -> list[range]:
    """Stretches of neighbours that belong together, of pictures in the order of their numbers."""
    count = len(pictures)
    if count < 2:
        return [range(count)]
    far = _far(pictures)
    next_ = difference(pictures[:-1], pictures[1:])
    if _drifts(pictures, next_, far):
        return [range(count)]
    linked = (next_ <= SAME) | ((next_ <= NEAR) & (next_ <= MUCH * far))
    starts = [0, *(np.flatnonzero(~linked) + 1).tolist(), count]
    return [range(start, end) for start, end in pairwise(starts)]


def _far(pictures: Pixels) -> float:
    """The usual difference of pictures that lie far apart in the order."""
    count = len(pictures)
    apart = max(1, count // 3)
    start = np.arange(count - apart)
    return float(np.median(difference(pictures[start], pictures[start + apart])))


def _drifts(pictures: Pixels, next_: np.ndarray, far: float) -> bool:
    """Whether each picture resembles the next more than those after it, as frames do a second apart.

    Photos sorted by place resemble their neighbours too, but the second next as much as the next.
    """
    if len(pictures) < SHORT or np.quantile(next_, 0.7) > DRIFT * far:
        return False
    nearer = np.concatenate(
        [next_[: len(pictures) - lag] < difference(pictures[:-lag], pictures[lag:]) for lag in (2, 3)]
    )
    surplus = (nearer.mean() - 0.5) / np.sqrt(0.25 / len(nearer))
    return bool(nearer.mean() >= IN_ORDER and surplus >= SURE)
