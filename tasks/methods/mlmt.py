"""MLMT: a classification branch learns which classes an image contains, and vetoes the others in prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.models import Network, running_statistics_frozen
from nas.space.checks import check_range
from nas.tasks.methods.mean_teacher import ramp
from nas.tasks.methods.semi_supervised import SemiSupervised
from nas.tasks.methods.strong_view import strong_view
from nas.tasks.methods.teacher import MovingAverage
from nas.tasks.methods.veto import Classifier, Vetoed
from nas.training.batch import VOID
from nas.training.ema import ema_update

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["MLMT", "Branch", "classification_loss", "present"]


@dataclass(frozen=True)
class MLMT(SemiSupervised):
    """Multi-label mean teacher of Mittal et al. (2019): a classification branch on the shared encoder.

    The branch is a linear head on the mean of the coarsest feature. It learns the classes in labelled images by binary
    cross-entropy, and on strong views of unlabelled images it learns the scores of a teacher, the moving average of
    encoder and head. In prediction, the teacher vetoes classes with a score under the threshold, which helps if images
    contain few of the classes. Segmentation itself is supervised; `Fusion` combines the branch with another method.

    The branch adds three passes of the encoder to a step, one of them without gradient, and one to a prediction, which
    `cost` counts. Without unlabelled images, the branch is not trained and vetoes nothing.

    Attributes:
        threshold: score under which a class is vetoed in an image.
        weight: weight of the consistency loss after the ramp-up.
        rampup: share of the training in which the weight grows; 0 for full weight from the start.
        decay: decay of the moving average; smaller in the first updates.
    """

    threshold: float = 0.2
    weight: float = 1.0
    rampup: float = 0.3
    decay: float = 0.999

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """Build the head and the teacher."""
        check_range("method.threshold", self.threshold, 0, 1)
        check_range("method.weight", self.weight, 0)
        check_range("method.rampup", self.rampup, 0, 1)
        check_range("method.decay", self.decay, 0, 1)
        return Branch(network, classes)

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Compute the classification loss of labelled images and the consistency loss of unlabelled ones."""
        branch = cast(Branch, own)
        one, other = strong_view(images, batch.generator), strong_view(images, batch.generator)
        with torch.no_grad():
            target = branch.teacher(other).sigmoid()
        # Running statistics are left to the passes for segmentation, except with domain adaptation.
        with running_statistics_frozen(network, not batch.shifted):
            classified = branch.student(network, batch.images)
            student = branch.student(network, one).sigmoid()
        classification = classification_loss(classified, batch.masks)
        difference = (student - target).square().mean()
        factor = self.weight * ramp(progress, self.rampup)
        return classification + factor * difference, {
            "loss.branch": classification.detach(),
            "loss.branch_consistency": difference.detach(),
            "branch_weight": factor,
        }

    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None:
        """Update the teacher, if there were unlabelled images."""
        if batch.unlabelled is not None and len(batch.unlabelled):
            cast(Branch, own).update_teacher(network, self.decay)

    def predictor(self, own: nn.Module | None, network: Network) -> Network:
        """Return the network with the teacher's veto."""
        return cast(Branch, own).vetoed(network, self.threshold)

    def inference(self, network: Network) -> Network:
        """Return the network with an untrained veto."""
        return Branch(network, network.classes).vetoed(network, self.threshold)


class Branch(MovingAverage):
    """A classification head on a network's encoder, and a teacher, the moving average of both."""

    def __init__(self, network: Network, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(network.encoder.channels[-1], classes).to(network.mean.device)
        self.teacher = Classifier(network, self.head)

    def student(self, network: Network, images: Tensor) -> Tensor:
        """Compute logits N x K, float32, of the presence of each class in images N x 3 x H x W."""
        logits: Tensor = self.head(network.features(images)[-1].mean((2, 3)))
        return logits.float()

    def update_teacher(self, network: Network, decay: float) -> None:
        """Update the teacher by the current weights and buffers of encoder and head."""
        decay = self.next_decay(decay)
        ema_update(self.teacher.network, network, decay)
        ema_update(self.teacher.head, self.head, decay)

    def vetoed(self, network: Network, threshold: float) -> Vetoed:
        """Return the network with the teacher's veto, which is off before the first update."""
        return Vetoed(network, self.teacher, threshold if self.updates else 0.0)


def present(masks: Tensor, classes: int) -> Tensor:
    """Return which classes each mask N x H x W contains, N x K float; void is ignored."""
    labels = masks.flatten(1)
    found = torch.zeros(len(masks), classes + 1, device=masks.device)
    return found.scatter_(1, labels.where(labels != VOID, classes), 1.0)[:, :classes]


def classification_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Mean binary cross-entropy of logits N x K, over classes and over images with any labelled pixel."""
    losses = F.binary_cross_entropy_with_logits(logits, present(masks, logits.shape[1]), reduction="none").mean(1)
    known = (masks != VOID).flatten(1).any(1)
    return (losses * known).sum() / known.sum().clamp_min(1)
