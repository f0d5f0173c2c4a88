"""Batch: the labelled and unlabelled images of a training step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.void import VOID

if TYPE_CHECKING:
    from nas.models import Network

__all__ = ["VOID", "Batch", "Criterion", "Logs", "cross_entropy"]

Criterion = Callable[[Tensor, Tensor], Tensor]
"""Function from logits N x K x H x W and labels N x H x W, 255 where void, to a scalar loss."""

Logs = dict[str, Tensor | float]
"""Numbers by name. Tensors are detached scalars that stay on their device, so that no step waits for them."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the labelled pixels. If all pixels are void, loss and gradient are 0."""
    losses = F.cross_entropy(logits.float(), labels, ignore_index=VOID, reduction="none")
    return losses.sum() / (labels != VOID).sum().clamp_min(1)


@dataclass(frozen=True)
class Batch:
    """The images of a training step.

    Attributes:
        images: augmented labelled images, B x 3 x H x W float in [0, 1].
        masks: their labels, B x H x W int64, 255 where void.
        unlabelled: unlabelled images in a weak (geometric) view, U x 3 x H x W, or None.
        generator: CPU generator for all random numbers of the step.
        criterion: the recipe's segmentation loss, for methods that train a second network on the labels.
        plain: the labelled images without colour jitter; None if they have none. Unlabelled images never have any.
        shifted: whether the unlabelled images are from the domain of evaluation, and the labelled ones from another
            (domain adaptation).
        features: cached features of the labelled images, for a method that needs no images; `images` and `plain` are
            then empty. None without a cache.
    """

    images: torch.Tensor
    masks: torch.Tensor
    unlabelled: torch.Tensor | None
    generator: torch.Generator
    criterion: Criterion = cross_entropy
    plain: torch.Tensor | None = None
    shifted: bool = False
    features: Sequence[Tensor] | None = None

    def scores(self, network: Network) -> list[Tensor]:
        """Compute the network's logits of the labelled images at each of its scales."""
        if self.features is None:
            return network.scores(self.images)
        return [network.decode(self.features, (self.masks.shape[1], self.masks.shape[2]))]
