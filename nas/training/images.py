"""Images of a split as tensors, and shuffled epochs of their indices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import torch

__all__ = ["Epochs", "Images", "JoinedImages"]

DEVICE_BYTES = 4 << 30


class Images:
    """A split's uint8 images N x H x W x 3 and masks N x H x W as tensors.

    On a GPU, a split under 4 GB is uploaded whole when it is first used. Otherwise only batches are copied.
    """

    def __init__(self, split: Any, device: torch.device) -> None:
        self.device = device
        self._split = split

    def __len__(self) -> int:
        return len(self._split.images)

    @property
    def pixels(self) -> int:
        """Number of pixels of an image."""
        height, width = self._split.images.shape[1:3]
        return int(height * width)

    @cached_property
    def _images(self) -> Any:
        return self._on_device(self._split.images)

    @cached_property
    def _masks(self) -> Any:
        return self._on_device(self._split.masks)

    def _on_device(self, array: np.ndarray) -> Any:
        if self.device.type == "cuda" and self._split.images.nbytes < DEVICE_BYTES:
            return torch.from_numpy(np.array(array)).to(self.device)
        return array

    def images(self, indices: np.ndarray) -> torch.Tensor:
        """Return the uint8 images n x 3 x H x W at some indices."""
        return self._take(self._images, indices).permute(0, 3, 1, 2)

    def masks(self, indices: np.ndarray) -> torch.Tensor:
        """Return the uint8 masks n x H x W at some indices."""
        return self._take(self._masks, indices)

    def _take(self, array: Any, indices: np.ndarray) -> torch.Tensor:
        if isinstance(array, torch.Tensor):
            return array[torch.from_numpy(indices).to(self.device, non_blocking=True)]
        return torch.from_numpy(array[indices]).to(self.device, non_blocking=True)


class JoinedImages:
    """The images of several splits, numbered one after another."""

    def __init__(self, parts: Sequence[Images]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def pixels(self) -> int:
        """Number of pixels of an image."""
        return self.parts[0].pixels

    def images(self, indices: np.ndarray) -> torch.Tensor:
        """Return the uint8 images n x 3 x H x W at some indices, those of the first split first."""
        ends = list(accumulate(map(len, self.parts)))
        starts = [0, *ends[:-1]]
        return torch.cat(
            [
                part.images(indices[(indices >= start) & (indices < end)] - start)
                for part, start, end in zip(self.parts, starts, ends, strict=True)
            ]
        )


class Epochs:
    """Endless iterator over batches of exactly `batch` indices, shuffling 0 .. count - 1 anew in each epoch.

    Attributes:
        waiting: shuffled indices that are not used yet.

    Raises:
        ValueError: `count` is 0.
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
