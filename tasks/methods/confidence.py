"""Confidence: losses that learn from predicted classes where the prediction is confident."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from nas.models import Network
from nas.space.checks import check_range
from nas.tasks.methods.teacher import TeacherMethod
from nas.training.batch import VOID, cross_entropy

__all__ = ["ConfidentTeacherMethod", "confident_cross_entropy", "confident_pixels"]


@dataclass(frozen=True)
class ConfidentTeacherMethod(TeacherMethod):
    """Base class of methods that learn the classes of a teacher where it is confident.

    Attributes:
        confidence: minimum probability of the teacher's class at a confident pixel.
        weight: weight of the consistency loss.
    """

    confidence: float = 0.95
    weight: float = 1.0

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """Build the teacher."""
        check_range("method.confidence", self.confidence, 0, 1)
        check_range("method.weight", self.weight, 0)
        return super().build(network, classes)


def confident_pixels(probabilities: Tensor, confidence: float) -> Tensor:
    """Return the mask N x H x W bool of pixels whose largest class probability is at least `confidence`."""
    return probabilities.amax(1) >= confidence


def confident_cross_entropy(logits: Tensor, probabilities: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy with the predicted classes at confident pixels, divided by the number of all pixels.

    The loss is small while few pixels are confident (Sohn et al. 2020, equation 4). It has no class weights: those of
    the recipe have already affected the predictions, and would favour rare classes twice.

    Args:
        logits: logits to train, N x K x H x W.
        probabilities: class probabilities to learn from, N x K x H x W, without gradient.
        confidence: minimum probability of the predicted class at a confident pixel.

    Returns:
        The loss and the share of confident pixels, scalars.
    """
    largest, classes = probabilities.max(1)
    confident = largest >= confidence
    share = confident.float().mean()
    return cross_entropy(logits, classes.where(confident, VOID)) * share, share
