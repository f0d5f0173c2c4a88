"""Features of a frozen encoder in place of images, for trainings of a decoder (`Recipe.caches_features`).

Each labelled image has a fixed number of augmented views, drawn once with a fixed seed. The features of the views, with
their masks, and those of the validation images are computed once, and shared by all workers of a run.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.models import Network
from nas.space import Recipe
from nas.training.augment import colour_jitter
from nas.training.batch import Batch
from nas.training.feature_cache import FeatureCache, Stored
from nas.training.images import Images, on_device, take
from nas.training.views import ImageViews, Scored, Views, index_batches

__all__ = ["VIEWS", "CachedImages", "CachedViews", "training_inputs"]

log = logging.getLogger(__name__)

VIEWS = 16
"""Views of each labelled image. Against new views in every step, a U-Net on MobileNetV2 loses 1.2 and 1.6 points of
mIoU (validation and test) with 4 of them, 0.0 and 0.4 with 16, 0.1 and 0.0 with 64 (CamVid, 46 labels, 345 steps, means
of two seeds, which differ by up to two points)."""

VIEW_SEED = 0
"""Seed of the views, the same for all trainings."""

LARGEST = float(np.finfo(np.float16).max)

NO_ROOM = (
    "the features of a frozen encoder need %.1f GB, more than the %.1f GB that their cache may take in %s: with "
    'frozen="cached" they are computed in every step, as with "all"; free some space, or use a smaller size'
)


def training_inputs(
    candidate: Recipe,
    network: Network,
    labelled: Images,
    validation: Images,
    layout: torch.memory_format,
    cache: FeatureCache,
) -> tuple[Views, Scored]:
    """Return what a training draws its labelled batches from, and what it is scored on.

    These are cached features where the candidate allows it and the cache has room for them, else images.

    Args:
        candidate: the closed recipe.
        network: its network with the weights to start from, on its device.
        labelled, validation: the images.
        layout: memory layout of the network.
        cache: cache of the run.
    """
    if candidate.caches_features:
        encoder = _CachedEncoder(candidate, network, layout, cache)
        size = encoder.bytes(labelled, validation)
        if size <= cache.limit:
            return encoder.views(labelled), encoder.images(validation)
        log.warning(NO_ROOM, size / 1e9, cache.limit / 1e9, cache.folder or "memory")
    return ImageViews(labelled, candidate.augment, layout), validation


@dataclass(frozen=True)
class _Rows:
    """Cached rows of float16 numbers: the features of an image or a view, each as H x W x C, then the mask of a view.

    Attributes:
        stored: the rows.
        shapes: (H, W, C) of each feature.
        size: height and width of the image.
        device, layout: device and memory layout of the network.
    """

    stored: Stored
    shapes: tuple[tuple[int, int, int], ...]
    size: tuple[int, int]
    device: torch.device
    layout: torch.memory_format

    @cached_property
    def _array(self) -> Any:
        return on_device(self.stored.array, self.device)

    def read(self, rows: np.ndarray) -> tuple[list[Tensor], Tensor]:
        """Return features n x C x H x W, and what follows them: the masks, flat."""
        chosen = take(self._array, rows, self.device)
        lengths = [math.prod(shape) for shape in self.shapes]
        *flat, rest = torch.split(chosen, [*lengths, chosen.shape[1] - sum(lengths)], 1)
        features = [
            f.reshape(-1, *shape).permute(0, 3, 1, 2).to(dtype=torch.float32, memory_format=self.layout)
            for f, shape in zip(flat, self.shapes, strict=True)
        ]
        return features, rest


class CachedViews:
    """Cached features and masks of the views of labelled images."""

    def __init__(self, rows: _Rows) -> None:
        self._rows = rows

    def draw(self, chosen: np.ndarray, generator: torch.Generator) -> Batch:
        """Draw a view of each chosen image."""
        views = torch.randint(VIEWS, (len(chosen),), generator=generator).numpy()
        features, masks = self._rows.read(chosen * VIEWS + views)
        no_images = masks.new_empty(0, 3, *self._rows.size, dtype=torch.float32)
        return Batch(no_images, masks.reshape(-1, *self._rows.size).long(), None, generator, features=features)


class CachedImages:
    """Cached features of images to score a network on."""

    def __init__(self, images: Images, rows: _Rows) -> None:
        self._images, self._rows = images, rows

    def __len__(self) -> int:
        return len(self._images)

    @property
    def pixels(self) -> int:
        """Number of pixels of an image."""
        return self._images.pixels

    def masks(self, indices: np.ndarray) -> Tensor:
        """Return the uint8 masks n x H x W at some indices."""
        return self._images.masks(indices)

    def logits(self, network: Network, indices: np.ndarray, layout: torch.memory_format) -> Tensor:
        """Compute the logits of the images at some indices."""
        return network.decode(self._rows.read(indices)[0], self._rows.size)


class _CachedEncoder:
    """A candidate's frozen encoder, whose features are read from a cache or computed for it.

    The encoder is channels last whatever the decoder's layout: which candidate fills the cache must not matter.
    """

    def __init__(self, candidate: Recipe, network: Network, layout: torch.memory_format, cache: FeatureCache) -> None:
        self.candidate, self.network, self.layout, self.cache = candidate, network, layout, cache
        self.device = network.mean.device
        network.encoder.eval()

    def bytes(self, labelled: Images, validation: Images) -> int:
        """Bytes of all features."""
        views = VIEWS * len(labelled) * self._row_length(self._view_size(labelled), masked=True)
        return 2 * (views + len(validation) * self._row_length(validation.size))

    def views(self, labelled: Images) -> CachedViews:
        """The views of the labelled images."""
        size = self._view_size(labelled)
        shape = VIEWS * len(labelled), self._row_length(size, masked=True)
        key = self._key([labelled.all_images, labelled.all_masks], self.candidate.augment)
        return CachedViews(self._rows(self.cache.get(key, shape, lambda: self._view_blocks(labelled)), size))

    def images(self, validation: Images) -> CachedImages:
        """The validation images."""
        shape = len(validation), self._row_length(validation.size)
        key = self._key([validation.all_images], None)
        stored = self.cache.get(key, shape, lambda: self._image_blocks(validation))
        return CachedImages(validation, self._rows(stored, validation.size))

    def _view_blocks(self, labelled: Images) -> Iterator[np.ndarray]:
        augment, generator = self.candidate.augment, torch.Generator().manual_seed(VIEW_SEED)
        for rows in index_batches(VIEWS * len(labelled), labelled.pixels):
            chosen = rows // VIEWS
            images, masks = augment.view(labelled.images(chosen), labelled.masks(chosen), generator)
            yield self._encode(colour_jitter(images, augment.colour, generator), masks)

    def _image_blocks(self, validation: Images) -> Iterator[np.ndarray]:
        for indices in index_batches(len(validation), validation.pixels):
            yield self._encode(validation.floats(indices))

    @torch.no_grad()
    def _encode(self, images: Tensor, masks: Tensor | None = None) -> np.ndarray:
        """Encode images N x 3 x H x W in [0, 1] as rows."""
        self.network.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = self.network.features(images.contiguous(memory_format=torch.channels_last))
        parts = [feature.permute(0, 2, 3, 1) for feature in features]
        # Float16 holds class indices exactly.
        parts += [] if masks is None else [masks]
        rows = torch.cat([part.flatten(1).float() for part in parts], 1)
        return rows.clamp_(-LARGEST, LARGEST).half().cpu().numpy()

    def _rows(self, stored: Stored, size: tuple[int, int]) -> _Rows:
        return _Rows(stored, self._shapes(size), size, self.device, self.layout)

    def _shapes(self, size: tuple[int, int]) -> tuple[tuple[int, int, int], ...]:
        """(H, W, C) of each feature of an image."""
        encoder, multiple = self.network.encoder, self.network.multiple
        height, width = (-(-side // multiple) * multiple for side in size)
        pairs = zip(encoder.channels, encoder.reductions, strict=True)
        return tuple((height // reduction, width // reduction, channels) for channels, reduction in pairs)

    def _row_length(self, size: tuple[int, int], masked: bool = False) -> int:
        return sum(map(math.prod, self._shapes(size))) + (math.prod(size) if masked else 0)

    def _view_size(self, labelled: Images) -> tuple[int, int]:
        crop = self.candidate.augment.crop
        height, width = labelled.size
        return (height, width) if crop is None else (min(crop[0], height), min(crop[1], width))

    def _key(self, arrays: Sequence[np.ndarray], augment: Any) -> str:
        """Hash everything that changes the features."""
        encoder, norm = self.candidate.encoder, None
        if not getattr(encoder, "own_norm", False):
            norm = getattr(self.candidate.norm, "encoder", self.candidate.norm)
        network = self.network
        described = (encoder.canonical(), norm, augment, VIEWS, VIEW_SEED, self.device.type)
        digest = hashlib.blake2b(repr(described).encode(), digest_size=16)
        for name, tensor in {**network.encoder.state_dict(), "mean": network.mean, "std": network.std}.items():
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().numpy().data)
        for array in arrays:
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()
