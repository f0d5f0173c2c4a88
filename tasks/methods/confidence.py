"""Confidence: learning from predicted classes where the prediction is sure enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from nas.models import Network
from nas.tasks.methods.semi_supervised import check_range
from nas.tasks.methods.teacher import TeacherMethod
from nas.training.batch import VOID, cross_entropy

__all__ = ["ConfidentTeacherMethod", "confident_cross_entropy", "confident_pixels"]


@dataclass(frozen=True)
class ConfidentTeacherMethod(TeacherMethod):
    """A method that learns the teacher's classes as far as the teacher is sure of them.

    Attributes:
        confidence: probability from which the teacher counts as confident of a pixel.
        weight: of the consistency loss.
    """

    confidence: float = 0.95
    weight: float = 1.0

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """The teacher."""
        check_range("confidence", self.confidence, 0.0, 1.0)
        check_range("weight", self.weight, 0.0, math.inf)
        return super().build(network, classes)


def confident_pixels(probabilities: Tensor, confidence: float) -> Tensor:
    """Where the predicted_classes class of N x K x H x W has at least that probability, N x H x W bool."""
    return probabilities.amax(1) >= confidence


def confident_cross_entropy(logits: Tensor, probabilities: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the logits with the predicted_classes classes where those are confident, a mean over all pixels.

    While few are confident the term so stays small, and grows as the predictions it learns from mature (Sohn
    et al. 2020, equation 4). Classes count alike: a recipe that weights them has done so in the predictions
    already, and rare ones would be favoured twice.

    Args:
        logits: what is trained, N x K x H x W.
        probabilities: what is learnt from, N x K x H x W, without gradient.
        confidence: the least probability of a pixel's predicted_classes class.

    Returns:
        The loss and the share of confident pixels, scalars.
    """
    sureness, classes = probabilities.max(1)
    confident = sureness >= confidence
    share = confident.float().mean()
    return cross_entropy(logits, classes.where(confident, VOID)) * share, share
