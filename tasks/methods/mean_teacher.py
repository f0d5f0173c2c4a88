"""MeanTeacher: on unlabelled images, agree with the average of one's past selves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import Tensor, nn

from nas.models import Network, running_statistics_frozen
from nas.space.component import Component
from tasks.draws import noise_like, uniform
from tasks.methods.teacher import Teacher, check_range, squared_difference

if TYPE_CHECKING:
    from nas.training.batch import Batch

__all__ = ["MeanTeacher", "ramp", "strong_view"]


@dataclass(frozen=True)
class MeanTeacher(Component):
    """Mean teacher (Tarvainen & Valpola 2017): the student sees a strong view, the teacher the weak one.

    Without unlabelled images it is supervised training whose averaged weights are evaluated.

    Attributes:
        decay: of the teacher's average.
        weight: of the consistency loss once ramped up.
        rampup: share of the training over which the weight grows; 0 for full weight from the start.
    """

    decay: float = 0.99
    weight: float = 1.0
    rampup: float = 0.3

    needs_unlabelled: ClassVar[bool] = True

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """The teacher."""
        check_range("weight", self.weight, 0.0, math.inf)
        check_range("rampup", self.rampup, 0.0, 1.0)
        return Teacher(network, self.decay)

    def loss(
        self, own: nn.Module | None, network: Network, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        """Ramped squared difference between the student's and the teacher's class probabilities."""
        if batch.unlabelled is None or not len(batch.unlabelled):
            return logits.new_zeros((), dtype=torch.float32), {}
        target = cast(Teacher, own).predict(batch.unlabelled)
        # Jittered colours and noise are not what the running statistics will meet at evaluation.
        with running_statistics_frozen(network):
            student = network(strong_view(batch.unlabelled, batch.generator))
        difference = squared_difference(student, target)
        factor = self.weight * ramp(progress, self.rampup)
        return factor * difference, {
            "loss.consistency": difference.item(),
            "consistency_weight": factor,
        }

    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None:
        """The teacher follows the network."""
        cast(Teacher, own).follow(network)

    def predictor(self, own: nn.Module | None, network: Network) -> Network:
        """The teacher."""
        return cast(Teacher, own).network


def ramp(progress: float, length: float) -> float:
    """exp(-5 (1 - t)^2) with t = progress / length, 1 from there on (Laine & Aila 2017)."""
    t = min(1.0, progress / length) if length > 0 else 1.0
    return math.exp(-5 * (1 - t) ** 2)


def strong_view(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images in [0, 1] with contrast, brightness and colour cast jittered and noise added."""
    count, device = images.shape[0], images.device
    contrast = uniform((count, 1, 1, 1), 0.6, 1.4, generator, device)
    brightness = uniform((count, 1, 1, 1), -0.2, 0.2, generator, device)
    cast_of_colour = uniform((count, 3, 1, 1), -0.1, 0.1, generator, device)
    sigma = uniform((count, 1, 1, 1), 0.0, 0.1, generator, device)
    mean = images.mean((1, 2, 3), keepdim=True)
    jittered = torch.lerp(mean, images, contrast) + (brightness + cast_of_colour)
    return (jittered + sigma * noise_like(images, generator)).clamp_(0, 1)
