"""Images of a split as tensors: drawn in shuffled epochs, on the device where they fit."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch

__all__ = ["Epochs", "Images"]

DEVICE_BYTES = 4 << 30


class Images:
    """A split's uint8 images N x H x W x 3 and masks N x H x W, served as tensors.

    On a GPU the whole split is uploaded when first drawn from, if it is under 4 GB; on the CPU nothing is copied but
    the batch.
    """

    def __init__(self, split: Any, device: torch.device) -> None:
        self.device = device
        self._split = split

    def __len__(self) -> int:
        return len(self._split.images)

    @property
    def pixels(self) -> int:
        """Pixels of an image."""
        height, width = self._split.images.shape[1:3]
        return int(height * width)

    @cached_property
    def _images(self) -> Any:
        return self._held(self._split.images)

    @cached_property
    def _masks(self) -> Any:
        return self._held(self._split.masks)

    def _held(self, array: np.ndarray) -> Any:
        if self.device.type == "cuda" and self._split.images.nbytes < DEVICE_BYTES:
            return torch.from_numpy(np.array(array)).to(self.device)
        return array

    def images(self, indices: np.ndarray) -> torch.Tensor:
        """uint8 images n x 3 x H x W."""
        return self._take(self._images, indices).permute(0, 3, 1, 2)

    def masks(self, indices: np.ndarray) -> torch.Tensor:
        """uint8 masks n x H x W."""
        return self._take(self._masks, indices)

    def _take(self, array: Any, indices: np.ndarray) -> torch.Tensor:
        if isinstance(array, torch.Tensor):
            return array[torch.from_numpy(indices).to(self.device, non_blocking=True)]
        return torch.from_numpy(array[indices]).to(self.device, non_blocking=True)


class Epochs:
    """Endless batches of exactly `batch` indices that go through 0..count-1 in a new order each time.

    Attributes:
        waiting: indices drawn already, which the next batches begin with.

    Raises:
        ValueError: there is no image.
    """

    def __init__(self, count: int, batch: int, generator: torch.Generator) -> None:
        if batch and not count:
            raise ValueError("there is no image to draw batches from")
        self.count, self.batch, self.generator = count, batch, generator
        self.waiting = torch.empty(0, dtype=torch.int64)

    def __next__(self) -> np.ndarray:
        while len(self.waiting) < self.batch:
            self.waiting = torch.cat([self.waiting, torch.randperm(self.count, generator=self.generator)])
        batch, self.waiting = self.waiting[: self.batch], self.waiting[self.batch :]
        return batch.numpy()
