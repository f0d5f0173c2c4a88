"""An examined data set: facts about its files, its splits, and the pixels of its classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nas.tasks.data.doctor.look import ImageFacts, MaskFacts
from nas.tasks.data.doctor.members import Members
from nas.tasks.data.doctor.sizes import Size, suggest_size
from nas.tasks.data.sets import VOID

__all__ = ["ClassShares", "Examined", "gpu_here"]


@dataclass(frozen=True)
class ClassShares:
    """Number of pixels of each class, by split with labels.

    Attributes:
        classes: name of each class.
        pixels: by split, number of pixels of each of 256 values: a class index, or 255 for void.
    """

    classes: tuple[str, ...]
    pixels: Mapping[str, np.ndarray]

    def share(self, split: str) -> np.ndarray:
        """Return the share of each class in the labelled pixels of a split."""
        counts = self.pixels[split][: len(self.classes)]
        return counts / max(1, counts.sum())

    def void(self, split: str) -> float:
        """Return the share of void pixels of a split."""
        counts = self.pixels[split]
        return float(counts[VOID] / max(1, counts.sum()))


@dataclass(frozen=True)
class Examined:
    """A data set after each of its files was read once.

    Attributes:
        members: the files.
        images: facts about each image, by its name.
        masks: facts about each mask, by the name of the image.
        splits: names of images by split, as in a search; empty if a search refuses the data set.
        folds: number of folds of the labelled images that a search ranks on, 0 for a ranking split.
        shares: pixels by class and split, None if the classes are not known.
        size: working size that the user gives, None if there is none.
    """

    members: Members
    images: Mapping[str, ImageFacts]
    masks: Mapping[str, MaskFacts]
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folds: int = 0
    shares: ClassShares | None = None
    size: Size | None = None

    @property
    def readable(self) -> dict[str, ImageFacts]:
        """Facts about the images that can be read, by name."""
        return {name: facts for name, facts in self.images.items() if facts.error is None}

    @property
    def suggested(self) -> Size | None:
        """The working size that suits the images and this machine, None if no image can be read."""
        sizes = [facts.size for facts in self.readable.values()]
        return suggest_size(sizes, "cuda" if gpu_here() else "cpu") if sizes else None


def gpu_here() -> bool:
    """Whether there is an NVIDIA GPU, found without loading torch."""
    return Path("/proc/driver/nvidia/gpus").is_dir() and os.environ.get("CUDA_VISIBLE_DEVICES") != ""
