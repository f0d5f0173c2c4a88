"""Tell frames of films from numbered photos by their thumbnails."""

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
"""Smallest number of frames of a film; fewer make a group."""

SAME = 0.01
"""Largest difference of thumbnails of neighbouring frames."""

NEAR = 0.05
"""Largest difference of neighbouring frames that also differ much less than distant images."""

MUCH_LESS = 0.3
"""Ratio of the differences of neighbouring and of distant images that counts as "much less"."""

DRIFT = 0.6
"""Largest ratio of the differences of neighbouring and of distant images in a slow film."""

IN_ORDER = 0.72
"""Share of images of a slow film that are more like the next image than like the second and third next."""

SURE = 3.0
"""Standard deviations by which this share must exceed that of separate photos, one half."""


def find_films(items: Sequence[FileItem], pictures: Pixels) -> tuple[FileItem, ...]:
    """Find films and bursts of photos.

    A film has frames that are nearly identical to their neighbours, or that change steadily. Fewer than nine such
    images are a burst, which becomes a group.

    Args:
        items: the images; `sequence` is a guess by their names.
        pictures: their thumbnails, N x 32 x 32.

    Returns:
        The items with `sequence` and `group` by their thumbnails.
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
    """Ranges of pictures of one film or burst, among pictures in the order of their numbers."""
    count = len(pictures)
    if count < 2:
        return [range(count)]
    distant = _distant_difference(pictures)
    steps = difference(pictures[:-1], pictures[1:])
    if _drifts(pictures, steps, distant):
        return [range(count)]
    linked = (steps <= SAME) | ((steps <= NEAR) & (steps <= MUCH_LESS * distant))
    starts = [0, *(np.flatnonzero(~linked) + 1).tolist(), count]
    return [range(start, end) for start, end in pairwise(starts)]


def _distant_difference(pictures: Pixels) -> float:
    """Median difference of pictures that are far apart in the order."""
    count = len(pictures)
    apart = max(1, count // 3)
    start = np.arange(count - apart)
    return float(np.median(difference(pictures[start], pictures[start + apart])))


def _drifts(pictures: Pixels, steps: np.ndarray, distant: float) -> bool:
    """Whether pictures are more like the next one than like those after it, as frames with a second in between are.

    Photos sorted by place are like their neighbours too, but like the second next as much as like the next.
    """
    if len(pictures) < SHORT or np.quantile(steps, 0.7) > DRIFT * distant:
        return False
    nearer = np.concatenate(
        [steps[: len(pictures) - lag] < difference(pictures[:-lag], pictures[lag:]) for lag in (2, 3)]
    )
    surplus = (nearer.mean() - 0.5) / np.sqrt(0.25 / len(nearer))
    return bool(nearer.mean() >= IN_ORDER and surplus >= SURE)
