"""The images of a pretraining: those of the labelled and the unlabelled split, a few of them held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.errors import UserError

__all__ = ["LEAST_IMAGES", "PretrainImages", "pretrain_images"]

LEAST_IMAGES = 20
"""Smallest number of images to pretrain on."""

HELD_OUT, LEAST_HELD_OUT, MOST_HELD_OUT = 0.1, 8, 64
"""Share of the images that is held out to score the tasks on, and its limits."""


@dataclass(frozen=True)
class PretrainImages:
    """Indices of the images to train on and to score on: labelled images first, then unlabelled ones.

    Attributes:
        data: the data set.
        trained: indices of the images to train on, in order.
        held_out: indices of the images to score on, in order.
    """

    data: Any
    trained: np.ndarray
    held_out: np.ndarray

    def described(self) -> str:
        """The counts of images, and which are not used, in one line."""
        data = self.data
        at = f"{data.size[0]}x{data.size[1]}"
        labelled, unlabelled = len(data.labelled), len(data.unlabelled)
        count = f"{labelled} labelled images (without their masks) and {unlabelled} unlabelled ones"
        unused = f"{len(data.test)} for testing"
        if data.validation is not data.labelled and data.validation is not data.test:
            unused = f"{len(data.validation)} for ranking, {unused}"
        return f"{data.name} at {at}: {count}, {len(self.held_out)} of them held out. Not used: {unused}"

    def counts(self) -> dict[str, int]:
        """Numbers of images."""
        return {
            "labelled": len(self.data.labelled),
            "unlabelled": len(self.data.unlabelled),
            "held_out": len(self.held_out),
        }

    def digest(self) -> str:
        """A hash of the names of the images and their size."""
        content = json.dumps([self.data.size, self.data.labelled.names, self.data.unlabelled.names])
        return hashlib.sha256(content.encode()).hexdigest()


def pretrain_images(data: Any, seed: int) -> PretrainImages:
    """Hold out a tenth of the images.

    Raises:
        UserError: there are too few images.
    """
    count = len(data.labelled) + len(data.unlabelled)
    if count < LEAST_IMAGES:
        raise UserError(
            f"{data.name} has {len(data.labelled)} labelled and {len(data.unlabelled)} unlabelled images outside its "
            f"test and ranking splits, which are too few to pretrain on: add photos, without masks, to {LEAST_IMAGES} "
            "or more in all"
        )
    held = min(max(round(HELD_OUT * count), LEAST_HELD_OUT), MOST_HELD_OUT)
    names = (*data.labelled.names, *data.unlabelled.names)
    order = _by_groups((*data.groups, *data.unlabelled_groups), names, seed)
    return PretrainImages(data, np.sort(order[held:]), np.sort(order[:held]))


def _by_groups(groups: Sequence[str], names: Sequence[str], seed: int) -> np.ndarray:
    """Order images by group, the groups at random, so that a part of them divides one group at most.

    Within a group they are ordered by name, so that a film is cut in time.
    """
    shuffled = np.random.default_rng(seed).permutation(sorted(set(groups)))
    rank = {str(group): place for place, group in enumerate(shuffled)}
    return np.array(sorted(range(len(groups)), key=lambda i: (rank[groups[i]], names[i])), dtype=np.int64)
