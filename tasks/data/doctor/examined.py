"""What the checks work on: a set's files, one look at each, its splits and the pixels of its classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nas.tasks.data.doctor.look import ImageLook, MaskLook
from nas.tasks.data.doctor.members import Members
from nas.tasks.data.doctor.sizes import Size, suggest_size
from nas.tasks.data.sets import VOID

__all__ = ["ClassShares", "Examined", "gpu_here"]


@dataclass(frozen=True)
class ClassShares:
    """Pixels of each class in each split that has labels.

    Attributes:
        classes: one name a class.
        pixels: by split, the pixels of each of 256 values: a class index, or 255 for void.
    """

    classes: tuple[str, ...]
    pixels: Mapping[str, np.ndarray]

    def share(self, split: str) -> np.ndarray:
        """The share of each class in the labelled pixels of a split; 0 where it has none."""
        counts = self.pixels[split][: len(self.classes)]
        return counts / max(1, counts.sum())

    def void(self, split: str) -> float:
        """The share of all pixels of a split that have no label."""
        counts = self.pixels[split]
        return float(counts[VOID] / max(1, counts.sum()))


@dataclass(frozen=True)
class Examined:
    """A set after one look at each of its files.

    Attributes:
        members: the files.
        images, masks: what was seen, by the name of the image; an image without a mask has no entry in `masks`.
        splits: names of images by split, as a search would divide them; empty where it refuses the set.
        folds: of the labelled images that a search ranks on, 0 for none.
        shares: pixels by class and split, None where masks cannot be told apart.
        size: the working size that is wanted, None if it is left to the doctor.
    """

    members: Members
    images: Mapping[str, ImageLook]
    masks: Mapping[str, MaskLook]
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folds: int = 0
    shares: ClassShares | None = None
    size: Size | None = None

    @property
    def readable(self) -> dict[str, ImageLook]:
        """Images that can be read."""
        return {name: look for name, look in self.images.items() if look.fault is None}

    @property
    def suggested(self) -> Size | None:
        """The working size that suits the images here, None where none can be read."""
        sizes = [look.size for look in self.readable.values()]
        return suggest_size(sizes, "cuda" if gpu_here() else "cpu") if sizes else None


def gpu_here() -> bool:
    """Whether there is an NVIDIA GPU, told without loading torch."""
    return Path("/proc/driver/nvidia/gpus").is_dir() and os.environ.get("CUDA_VISIBLE_DEVICES") != ""
