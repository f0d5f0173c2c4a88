"""Evaluate a network on a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from nas.models import Network
from nas.training.compute import memory_layout, predicted_classes
from nas.training.images import Images
from nas.training.metrics import Confusion, Scores
from nas.training.protocols import Split

__all__ = ["confusion", "evaluate", "in_batches"]

BATCH, PIXELS = 16, 1 << 21
"""Maximum images and pixels in a batch. Large images in full precision must not take more memory than training."""


def evaluate(
    network: Network,
    split: Split | Images,
    classes: int,
    device: torch.device,
    heartbeat: Callable[[], None] = lambda: None,
) -> Scores:
    """Score a network on all images of a split, in evaluation mode and full precision.

    Args:
        network: the network; its mode is restored.
        split: images with masks.
        classes: number of classes.
        device: the network's device.
        heartbeat: called after every batch.
    """
    return confusion(network, split, classes, device, heartbeat).scores()


@torch.no_grad()
def confusion(
    network: Network,
    split: Split | Images,
    classes: int,
    device: torch.device,
    heartbeat: Callable[[], None] = lambda: None,
) -> Confusion:
    """Compute the confusion matrix of a network on a split; arguments as for `evaluate`."""
    images = split if isinstance(split, Images) else Images(split, device)
    counted = Confusion(classes, device)
    was_training = network.training
    # The layout of training, so that convolutions round as they did there.
    layout = memory_layout(network, device)
    network.eval().to(memory_format=layout)  # type: ignore[call-overload]
    for pixels, masks in in_batches(images):
        counted.add(predicted_classes(network(pixels.contiguous(memory_format=layout))), masks)
        heartbeat()
    network.train(was_training)
    return counted


def in_batches(images: Images) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield images n x 3 x H x W, float32 in [0, 1], and masks n x H x W, uint8, of a split in order."""
    at_once = min(max(PIXELS // images.pixels, 1), BATCH)
    for start in range(0, len(images), at_once):
        indices = np.arange(start, min(start + at_once, len(images)))
        yield images.images(indices).float().div_(255), images.masks(indices)
