"""PseudoLabel: learn the network's own confident predictions on unlabelled images."""

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
    """Self-training with pseudo-labels that are predicted in every step (Lee 2013).

    At confident pixels, the predicted class is the label; other pixels are ignored. One pass gives both prediction and
    label, so the unlabelled images cost as much as labelled ones.

    Attributes:
        confidence: minimum probability of the predicted class at a confident pixel.
        weight: weight of the loss after the warm-up.
        warmup: share of the training that is only supervised, because early predictions are often confident but wrong.
    """

    confidence: float = 0.95
    weight: float = 1.0
    warmup: float = 0.2

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """Check the settings. The method owns no module."""
        check_range("method.confidence", self.confidence, 0, 1)
        check_range("method.weight", self.weight, 0)
        check_range("method.warmup", self.warmup, 0, 1)
        return super().build(network, classes)

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Compute cross-entropy with the network's own confident classes; 0 in the warm-up."""
        if progress < self.warmup:
            return logits.new_zeros((), dtype=torch.float32), {}
        # The images are unchanged, so they may update running statistics.
        predicted = network(images)
        probabilities = predicted.detach().float().softmax(1)
        loss, confident = confident_cross_entropy(predicted, probabilities, self.confidence)
        return self.weight * loss, {"loss.pseudo_label": loss.detach(), "confident": confident}
