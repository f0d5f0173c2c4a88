"""PseudoLabel: on unlabelled images, take one's own confident predictions for truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nas.models import Network
from nas.space.checks import check_range
from nas.tasks.methods.confidence import confident_cross_entropy
from nas.tasks.methods.semi_supervised import SemiSupervised

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["PseudoLabel"]


@dataclass(frozen=True)
class PseudoLabel(SemiSupervised):
    """Self-training (Lee 2013) in its cheap form: labels are predicted anew at every step.

    The network's class of a pixel is its label wherever the network is confident, and nothing is
    learnt elsewhere. One pass gives both prediction and label, so a step costs no more than a
    second supervised one.

    Attributes:
        confidence: least probability of the predicted class of a pixel that is learnt.
        weight: of the loss after the warm-up.
        warmup: share of the training that is supervised alone: young networks are confidently wrong.
    """

    confidence: float = 0.95
    weight: float = 1.0
    warmup: float = 0.2

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """Nothing is owned."""
        check_range("method.confidence", self.confidence, 0, 1)
        check_range("method.weight", self.weight, 0)
        check_range("method.warmup", self.warmup, 0, 1)
        return super().build(network, classes)

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Cross-entropy with the own classes over the confident pixels, a mean over all; 0 in the warm-up."""
        if progress < self.warmup:
            return logits.new_zeros((), dtype=torch.float32), {}
        # The images are as they are met at evaluation, so the running statistics may learn from them.
        predicted = network(images)
        probabilities = predicted.detach().float().softmax(1)
        loss, confident = confident_cross_entropy(predicted, probabilities, self.confidence)
        return self.weight * loss, {"loss.pseudo_label": loss.detach(), "confident": confident}
