"""Evaluate a network on a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from nas.models import Network
from nas.training.compute import memory_layout, predicted_classes
from nas.training.images import Images
from nas.training.metrics import Confusion, Scores
from nas.training.protocols import Split
from nas.training.views import Scored, index_batches

__all__ = ["confusion", "evaluate", "in_batches"]


def evaluate(
    network: Network,
    split: Split,
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
    return confusion(network, Images(split, device), classes, device, heartbeat).scores()


@torch.no_grad()
def confusion(
    network: Network,
    images: Scored,
    classes: int,
    device: torch.device,
    heartbeat: Callable[[], None] = lambda: None,
) -> Confusion:
    """Compute the confusion matrix of a network on images or cached features; other arguments as for `evaluate`."""
    counted = Confusion(classes, device)
    was_training = network.training
    # The layout of training, so that convolutions round as they did there.
    layout = memory_layout(network, device)
    network.eval().to(memory_format=layout)  # type: ignore[call-overload]
    for indices in index_batches(len(images), images.pixels):
        counted.add(predicted_classes(images.logits(network, indices, layout)), images.masks(indices))
        heartbeat()
    network.train(was_training)
    return counted


def in_batches(images: Images) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield images n x 3 x H x W, float32 in [0, 1], and masks n x H x W, uint8, of a split in order."""
    for indices in index_batches(len(images), images.pixels):
        yield images.floats(indices), images.masks(indices)
