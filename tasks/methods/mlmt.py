"""MLMT: a branch learns which classes an image holds, and vetoes the others when the network predicts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.models import Network, running_statistics_frozen
from nas.tasks.methods.mean_teacher import ramp
from nas.tasks.methods.semi_supervised import SemiSupervised, check_range
from nas.tasks.methods.strong_view import strong_view
from nas.tasks.methods.teacher import Follower
from nas.tasks.methods.veto import Classifier, Vetoed
from nas.training.batch import VOID
from nas.training.ema import ema_update

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["MLMT", "Branch", "classification_loss", "present"]


@dataclass(frozen=True)
class MLMT(SemiSupervised):
    """The multi-label mean teacher of Mittal et al. (2019): a classification branch on the shared encoder.

    A linear head on the mean of the coarsest feature learns the classes in labelled images by
    binary cross-entropy, and on two strong views of unlabelled images to score as the average of
    encoder and head does. That average later vetoes the classes it scores under the threshold:
    useful where an image holds few of the classes. Alone it is supervised segmentation with a
    veto; `Fusion` sets it beside another method. The branch adds three passes of the encoder to a
    step, one of them without a gradient, and another to a prediction; `cost` counts the last alone.
    Without unlabelled images nothing of it is trained, and nothing vetoed.

    Attributes:
        threshold: score under which a class is vetoed in an image.
        weight: of the consistency loss once ramped up.
        rampup: share of the training over which the weight grows; 0 for full weight from the start.
        decay: of the average, reached as the training grows long.
    """

    threshold: float = 0.2
    weight: float = 1.0
    rampup: float = 0.3
    decay: float = 0.999

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """The head, which is trained, and the average."""
        check_range("threshold", self.threshold, 0.0, 1.0)
        check_range("weight", self.weight, 0.0, math.inf)
        check_range("rampup", self.rampup, 0.0, 1.0)
        check_range("decay", self.decay, 0.0, 1.0)
        return Branch(network, classes)

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Classification of labelled images, and ramped squared difference of the scores of unlabelled ones."""
        branch = cast(Branch, own)
        one, other = strong_view(images, batch.generator), strong_view(images, batch.generator)
        with torch.no_grad():
            target = branch.teacher(other).sigmoid()
        # The segmentation's own passes say what the running statistics are to be.
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
        """The average follows the encoder and the head, where there was something to learn from."""
        if batch.unlabelled is not None and len(batch.unlabelled):
            cast(Branch, own).follow(network, self.decay)

    def predictor(self, own: nn.Module | None, network: Network) -> Network:
        """The network with the average's veto."""
        return cast(Branch, own).vetoed(network, self.threshold)

    def inference(self, network: Network) -> Network:
        """A network with an untrained veto."""
        return Branch(network, network.classes).vetoed(network, self.threshold)


class Branch(Follower):
    """A head for the network's encoder, trained with it, and the average of both (Tarvainen & Valpola 2017)."""

    def __init__(self, network: Network, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(network.encoder.channels[-1], classes).to(network.mean.device)
        self.teacher = Classifier(network, self.head)

    def student(self, network: Network, images: Tensor) -> Tensor:
        """Logits N x K, float32, of each class being in the images N x 3 x H x W."""
        logits: Tensor = self.head(network.features(images)[-1].mean((2, 3)))
        return logits.float()

    def follow(self, network: Network, decay: float) -> None:
        """Average in the present weights and buffers; a young average keeps less of the old."""
        decay = self.next_decay(decay)
        ema_update(self.teacher.network, network, decay)
        ema_update(self.teacher.head, self.head, decay)

    def vetoed(self, network: Network, threshold: float) -> Vetoed:
        """The network with the average's veto, which is off until the average has followed once."""
        return Vetoed(network, self.teacher, threshold if self.updates else 0.0)


def present(masks: Tensor, classes: int) -> Tensor:
    """Which classes each of the masks N x H x W holds, N x K float; void counts for nothing."""
    labels = masks.flatten(1)
    found = torch.zeros(len(masks), classes + 1, device=masks.device)
    return found.scatter_(1, labels.where(labels != VOID, classes), 1.0)[:, :classes]


def classification_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy of logits N x K, a mean over classes and over the images that are not void throughout."""
    losses = F.binary_cross_entropy_with_logits(logits, present(masks, logits.shape[1]), reduction="none").mean(1)
    known = (masks != VOID).flatten(1).any(1)
    return (losses * known).sum() / known.sum().clamp_min(1)
