"""Batch: what one training step is given, labelled and unlabelled images alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.void import VOID

__all__ = ["VOID", "Batch", "Criterion", "Logs", "cross_entropy"]

Criterion = Callable[[Tensor, Tensor], Tensor]
"""Logits N x K x H x W and labels N x H x W, 255 where void, to a scalar."""

Logs = dict[str, Tensor | float]
"""Numbers by name. A tensor is a detached scalar and stays on its device: to read it at every step would be to wait."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Plain cross-entropy, a mean over the labelled pixels; 0, with a gradient of 0, where all is void."""
    losses = F.cross_entropy(logits.float(), labels, ignore_index=VOID, reduction="none")
    return losses.sum() / (labels != VOID).sum().clamp_min(1)


@dataclass(frozen=True)
class Batch:
    """One step's images.

    Attributes:
        images: labelled images, augmented, B x 3 x H x W float in [0, 1].
        masks: their labels, B x H x W int64, 255 where void.
        unlabelled: unlabelled images in a weak (geometric) view, U x 3 x H x W, or None.
        generator: the CPU generator that every random number of the step is drawn from.
        criterion: the recipe's segmentation loss, for a second network that learns from the labels.
        plain: the labelled images before their colours were jittered, as the unlabelled ones are; None where they
            were not.
        shifted: whether the unlabelled images are of another set, that of evaluation (domain adaptation).
    """

    images: torch.Tensor
    masks: torch.Tensor
    unlabelled: torch.Tensor | None
    generator: torch.Generator
    criterion: Criterion = cross_entropy
    plain: torch.Tensor | None = None
    shifted: bool = False
