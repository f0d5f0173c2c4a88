"""Veto: what a network may not predict in an image, as a classifier does not see it there, and what that changes."""

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
    """RGB images in [0, 1], N x 3 x H x W, to logits N x K of each class being seen in them.

    A copy of a network's encoder, with its way to prepare images, and of a head on the mean of
    its coarsest feature. Like every teacher it is frozen and in evaluation mode, whatever `train` is asked.
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
        """Stays in evaluation mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.network.features(images)[-1].mean((2, 3)))
        return logits.float()


class Vetoed(Network):
    """A segmentation network whose logits are minus infinity for the classes vetoed in the image.

    Both take the image whole, so where windows are predicted one by one each has vetoes of its own.

    Args:
        segmenter: its parts are shared, but for the pretext heads.
        classifier: of the image's classes, shared.
        threshold: score under which a class is vetoed; 0 vetoes none.
    """

    threshold: Tensor

    def __init__(self, segmenter: Network, classifier: Classifier, threshold: float) -> None:
        # Not Network's own, which would build the parts that are shared here.
        nn.Module.__init__(self)
        self.encoder, self.decoder, self.classifier = segmenter.encoder, segmenter.decoder, segmenter.classifier
        self.heads = nn.ModuleDict()
        self.classes, self.multiple = segmenter.classes, segmenter.multiple
        self.register_buffer("mean", segmenter.mean)
        self.register_buffer("std", segmenter.std)
        self.image_classifier = classifier
        self.register_buffer("threshold", torch.tensor(float(threshold), device=segmenter.mean.device))
        self.train(segmenter.training)

    def forward(self, images: Tensor) -> Tensor:
        kept = self.permitted(images)[:, :, None, None]
        return torch.where(kept, self.segment(images), -math.inf)

    def segment(self, images: Tensor) -> Tensor:
        """Logits N x K x H x W without the veto."""
        return super().forward(images)

    def permitted(self, images: Tensor) -> Tensor:
        """Which classes each image may hold, N x K bool."""
        return permitted(self.image_classifier(images).sigmoid(), self.threshold)


def permitted(scores: Tensor, threshold: float | Tensor) -> Tensor:
    """Which classes, N x K bool, have scores, N x K, of the threshold at least; all where none has."""
    decided = scores.amax(1, keepdim=True) >= threshold
    return ~(decided & (scores < threshold))


@dataclass
class VetoCounts:
    """What a veto changed, class by class, each K int64 on the CPU.

    Attributes:
        images: in which the class was vetoed.
        wrong: pixels that would have been predicted as it, and are not it (false positives taken away).
        right: pixels that would have been predicted as it, and are it (true positives lost).
    """

    images: Tensor
    wrong: Tensor
    right: Tensor

    @classmethod
    def none(cls, classes: int) -> VetoCounts:
        """Nothing counted yet."""
        return cls(*(torch.zeros(classes, dtype=torch.int64) for _ in range(3)))

    def add(self, predicted: Tensor, labels: Tensor, kept: Tensor) -> None:
        """Count some images in.

        Args:
            predicted: classes without the veto, N x H x W.
            labels: N x H x W, 255 where void; those pixels are left out.
            kept: which classes were not vetoed, N x K bool.
        """
        vetoed = ~kept
        struck = vetoed.gather(1, predicted.flatten(1)).view_as(predicted) & (labels != VOID)
        right = struck & (predicted == labels)
        self.images += vetoed.sum(0).cpu()
        self.right += torch.bincount(predicted[right], minlength=len(self.right)).cpu()
        self.wrong += torch.bincount(predicted[struck & ~right], minlength=len(self.wrong)).cpu()
