"""Images of a split as tensors, and shuffled epochs of their indices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from nas.models import Network

__all__ = ["Epochs", "Images", "JoinedImages", "on_device", "take"]

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
    def size(self) -> tuple[int, int]:
        """Height and width of an image."""
        height, width = self._split.images.shape[1:3]
        return int(height), int(width)

    @property
    def pixels(self) -> int:
        """Number of pixels of an image."""
        return self.size[0] * self.size[1]

    @property
    def all_images(self) -> np.ndarray:
        """The split's images N x H x W x 3."""
        return self._split.images

    @property
    def all_masks(self) -> np.ndarray:
        """The split's masks N x H x W."""
        return self._split.masks

    @cached_property
    def _images(self) -> Any:
        return on_device(self.all_images, self.device)

    @cached_property
    def _masks(self) -> Any:
        return on_device(self.all_masks, self.device)

    def images(self, indices: np.ndarray) -> torch.Tensor:
        """Return the uint8 images n x 3 x H x W at some indices."""
        return take(self._images, indices, self.device).permute(0, 3, 1, 2)

    def floats(self, indices: np.ndarray) -> torch.Tensor:
        """Return the images n x 3 x H x W at some indices as float32 in [0, 1]."""
        return self.images(indices).float().div_(255)

    def masks(self, indices: np.ndarray) -> torch.Tensor:
        """Return the uint8 masks n x H x W at some indices."""
        return take(self._masks, indices, self.device)

    def logits(self, network: Network, indices: np.ndarray, layout: torch.memory_format) -> torch.Tensor:
        """Compute the logits of the images at some indices; `layout` is the memory layout of the network."""
        return network(self.floats(indices).contiguous(memory_format=layout))


def on_device(array: np.ndarray, device: torch.device) -> Any:
    """Upload an array under 4 GB to a GPU; return any other as it is."""
    if device.type == "cuda" and array.nbytes < DEVICE_BYTES:
        return torch.from_numpy(np.array(array)).to(device)
    return array


def take(array: Any, indices: np.ndarray, device: torch.device) -> torch.Tensor:
    """Take rows of an array of `on_device` as a tensor on the device."""
    if isinstance(array, torch.Tensor):
        return array[torch.from_numpy(indices).to(device, non_blocking=True)]
    return torch.from_numpy(array[indices]).to(device, non_blocking=True)


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
