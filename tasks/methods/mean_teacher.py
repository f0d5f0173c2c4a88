"""MeanTeacher: consistency with the moving average of the network on unlabelled images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from nas.models import Network, running_statistics_frozen
from nas.space.checks import check_range
from nas.tasks.methods.strong_view import strong_view
from nas.tasks.methods.teacher import Teacher, TeacherMethod, squared_difference

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["MeanTeacher", "ramp"]


@dataclass(frozen=True)
class MeanTeacher(TeacherMethod):
    """Mean teacher (Tarvainen & Valpola 2017): the student gets a strong view, the teacher the weak view.

    Attributes:
        weight: weight of the consistency loss after the ramp-up.
        rampup: share of the training in which the weight grows; 0 for full weight from the start.
    """

    weight: float = 1.0
    rampup: float = 0.3

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """Build the teacher."""
        check_range("method.weight", self.weight, 0)
        check_range("method.rampup", self.rampup, 0, 1)
        return super().build(network, classes)

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Compute the squared difference between student's and teacher's class probabilities, ramped up."""
        target = cast(Teacher, own).predict(images)
        # Strong views differ from the images of evaluation, and must not update running statistics. With domain
        # adaptation they must, because the statistics of the labelled domain are worse.
        with running_statistics_frozen(network, not batch.shifted):
            student = network(strong_view(images, batch.generator))
        difference = squared_difference(student, target)
        factor = self.weight * ramp(progress, self.rampup)
        return factor * difference, {
            "loss.consistency": difference.detach(),
            "consistency_weight": factor,
        }


def ramp(progress: float, length: float) -> float:
    """Ramp-up exp(-5 (1 - t)^2) with t = min(1, progress / length) (Laine & Aila 2017)."""
    t = min(1.0, progress / length) if length > 0 else 1.0
    return math.exp(-5 * (1 - t) ** 2)
