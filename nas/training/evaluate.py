"""Scores of a network on a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from nas.models import Network
from nas.training.compute import likeliest, memory_layout
from nas.training.images import Images
from nas.training.metrics import Confusion, Scores
from nas.training.protocols import Split

__all__ = ["confusion", "evaluate", "in_batches"]

BATCH, PIXELS = 16, 1 << 21
"""Images, and pixels of them, at once: large images in full precision are not to take more memory than training."""


def evaluate(
    network: Network,
    split: Split | Images,
    classes: int,
    device: torch.device,
    alive: Callable[[], None] = lambda: None,
) -> Scores:
    """Scores of the network, in evaluation mode and full precision, over every image of a split.

    Args:
        alive: called after every batch.
    """
    return confusion(network, split, classes, device, alive).scores()


@torch.no_grad()
def confusion(
    network: Network,
    split: Split | Images,
    classes: int,
    device: torch.device,
    alive: Callable[[], None] = lambda: None,
) -> Confusion:
    """The confusion matrix from which `evaluate` computes its scores; those of several splits may be added."""
    images = split if isinstance(split, Images) else Images(split, device)
    counted = Confusion(classes, device)
    was_training = network.training
    # The layout of training: convolutions then round alike, and the same network scores the same.
    layout = memory_layout(network, device)
    network.eval().to(memory_format=layout)  # type: ignore[call-overload]
    for pixels, masks in in_batches(images):
        counted.add(likeliest(network(pixels.contiguous(memory_format=layout))), masks)
        alive()
    network.train(was_training)
    return counted


def in_batches(images: Images) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """A split's images, n x 3 x H x W float32 in [0, 1], and their masks, n x H x W uint8, in order."""
    at_once = min(max(PIXELS // images.pixels, 1), BATCH)
    for start in range(0, len(images), at_once):
        indices = np.arange(start, min(start + at_once, len(images)))
        yield images.images(indices).float().div_(255), images.masks(indices)
