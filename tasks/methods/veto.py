"""Veto: a network does not predict classes that a classifier does not find in the image."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.models import Network
from nas.training.batch import VOID

__all__ = ["Classifier", "VetoCounts", "Vetoed", "permitted"]


class Classifier(nn.Module):
    """Multi-label classifier from RGB images in [0, 1], N x 3 x H x W, to logits N x K of the presence of each class.

    It consists of copies of a network's encoder and normalization, and of a linear head on the mean of the coarsest
    feature. It is frozen and always in evaluation mode.
    """

    def __init__(self, network: Network, head: nn.Linear) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.network.heads = nn.ModuleDict()
        del self.network.decoder, self.network.classifier
        self.head = copy.deepcopy(head)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Classifier:
        """Stay in evaluation mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.network.features(images)[-1].mean((2, 3)))
        return logits.float()


class Vetoed(Network):
    """A segmentation network whose logits are minus infinity for classes that are vetoed in the image.

    The veto applies to the whole input. In prediction by windows, each window has its own.

    Args:
        network: the segmentation network. The parts are shared, except its pretext heads.
        classifier: classifier of the classes in an image, shared.
        threshold: score under which a class is vetoed; 0 for no veto.
    """

    threshold: Tensor

    def __init__(self, network: Network, classifier: Classifier, threshold: float) -> None:
        parts = network.encoder, network.decoder, network.classifier
        super().__init__(*parts, network.classes, network.mean, network.std, network.scales)
        self.image_classifier = classifier
        self.register_buffer("threshold", torch.tensor(float(threshold), device=network.mean.device))
        self.train(network.training)

    def forward(self, images: Tensor) -> Tensor:
        kept = self.permitted(images)[:, :, None, None]
        return torch.where(kept, self.segment(images), -math.inf)

    def segment(self, images: Tensor) -> Tensor:
        """Compute logits N x K x H x W without the veto."""
        return super().forward(images)

    def permitted(self, images: Tensor) -> Tensor:
        """Return which classes are not vetoed in each image, N x K bool."""
        return permitted(self.image_classifier(images).sigmoid(), self.threshold)


def permitted(scores: Tensor, threshold: float | Tensor) -> Tensor:
    """Return which scores, N x K, reach the threshold, N x K bool. In a row where none does, all are permitted."""
    any_reached = scores.amax(1, keepdim=True) >= threshold
    return ~(any_reached & (scores < threshold))


@dataclass
class VetoCounts:
    """Counts of what a veto changed, for each class, K int64 on the CPU.

    Attributes:
        images: number of images in which the class was vetoed.
        wrong: removed false positives: pixels that would have been predicted as the class, but have another label.
        right: removed true positives: pixels that would have been predicted as the class and have its label.
    """

    images: Tensor
    wrong: Tensor
    right: Tensor

    @classmethod
    def none(cls, classes: int) -> VetoCounts:
        """Start with zero counts."""
        return cls(*(torch.zeros(classes, dtype=torch.int64) for _ in range(3)))

    def add(self, predicted: Tensor, labels: Tensor, kept: Tensor) -> None:
        """Add some images.

        Args:
            predicted: classes predicted without the veto, N x H x W.
            labels: labels N x H x W, 255 where void; void pixels are not counted.
            kept: classes that were not vetoed, N x K bool.
        """
        vetoed = ~kept
        removed = vetoed.gather(1, predicted.flatten(1)).view_as(predicted) & (labels != VOID)
        right = removed & (predicted == labels)
        self.images += vetoed.sum(0).cpu()
        self.right += torch.bincount(predicted[right], minlength=len(self.right)).cpu()
        self.wrong += torch.bincount(predicted[removed & ~right], minlength=len(self.wrong)).cpu()
