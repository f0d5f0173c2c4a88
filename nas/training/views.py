"""What a training draws its labelled batches from, and what it is scored on: images, or something in their place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from nas.models import Network
from nas.training.augment import Augment, colour_jitter
from nas.training.batch import Batch
from nas.training.images import Images

__all__ = ["ImageViews", "Scored", "Views", "index_batches"]

BATCH, PIXELS = 16, 1 << 21
"""Maximum images and pixels in a batch. Large images in full precision must not take more memory than training."""


class Views(Protocol):
    """Augmented labelled images, or their features."""

    def draw(self, chosen: np.ndarray, generator: torch.Generator) -> Batch:
        """Draw a view of each chosen image, as a batch without unlabelled images."""


class Scored(Protocol):
    """Images with masks to score a network on, or their features."""

    def __len__(self) -> int: ...

    @property
    def pixels(self) -> int:
        """Number of pixels of an image."""

    def masks(self, indices: np.ndarray) -> Tensor:
        """Return the uint8 masks n x H x W at some indices."""

    def logits(self, network: Network, indices: np.ndarray, layout: torch.memory_format) -> Tensor:
        """Compute the logits of the images at some indices; `layout` is the memory layout of the network."""


class ImageViews:
    """Labelled images that are augmented anew in every batch."""

    def __init__(self, images: Images, augment: Augment, layout: torch.memory_format) -> None:
        self.images, self.augment, self.layout = images, augment, layout

    def draw(self, chosen: np.ndarray, generator: torch.Generator) -> Batch:
        """Draw a view of each chosen image."""
        images, masks = self.augment.view(self.images.images(chosen), self.images.masks(chosen), generator)
        assert masks is not None
        coloured = colour_jitter(images, self.augment.colour, generator)
        plain = None if coloured is images else images
        return Batch(coloured.contiguous(memory_format=self.layout), masks, None, generator, plain=plain)


def index_batches(count: int, pixels: int) -> Iterator[np.ndarray]:
    """Yield the indices of images in order, in batches that fit into memory.

    Args:
        count: number of images.
        pixels: pixels of an image.
    """
    at_once = min(max(PIXELS // pixels, 1), BATCH)
    for start in range(0, count, at_once):
        yield np.arange(start, min(start + at_once, count))
