"""Teacher: a moving average of a network, and the base class of methods that learn from one."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor, nn

from nas.models import Network
from nas.space.checks import check_range
from nas.tasks.methods.semi_supervised import SemiSupervised
from nas.training.ema import decay_with_warmup, ema_update

if TYPE_CHECKING:
    from nas.training.batch import Batch

__all__ = ["MovingAverage", "Teacher", "TeacherMethod", "squared_difference"]


class MovingAverage(nn.Module):
    """Base class of moving averages, which counts its updates.

    Updates are counted here instead of using the step of the training, because after pretraining by pretext tasks the
    average starts later.
    """

    def __init__(self) -> None:
        super().__init__()
        self.updates = 0

    def next_decay(self, decay: float) -> float:
        """Count an update and return its decay, which is smaller in the first updates; see `decay_with_warmup`."""
        self.updates += 1
        return decay_with_warmup(decay, self.updates - 1)

    def get_extra_state(self) -> dict[str, Any]:
        return {"updates": self.updates}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]


class Teacher(MovingAverage):
    """Exponential moving average of a network's weights and norm buffers (Tarvainen & Valpola 2017).

    The teacher is always in evaluation mode: it predicts as in the final evaluation, independently of the other images
    in the batch, and its buffers only change by averaging.

    Args:
        network: the network to average; its pretext heads are left out.
        decay: decay of the average, smaller in the first updates.
    """

    def __init__(self, network: Network, decay: float) -> None:
        super().__init__()
        check_range("method.decay", decay, 0, 1)
        self.decay = decay
        self.network = copy.deepcopy(network)
        self.network.heads = nn.ModuleDict()
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Teacher:
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Predict class probabilities N x K x H x W, float32."""
        probabilities: Tensor = self.network(images).float().softmax(1)
        return probabilities

    def update(self, network: nn.Module) -> None:
        """Update the average by the network's current weights and buffers; counters are copied."""
        ema_update(self.network, network, self.next_decay(self.decay))


def squared_difference(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Squared difference between softmax(logits) and probabilities, summed over classes and averaged over pixels.

    It is at most 2, for any number of classes.
    """
    return (logits.float().softmax(1) - probabilities).square().sum(1).mean()


@dataclass(frozen=True)
class TeacherMethod(SemiSupervised):
    """Base class of methods that learn from a teacher, which is also evaluated.

    Without unlabelled images, training is supervised and the averaged weights are evaluated.

    Attributes:
        decay: decay of the teacher's moving average.
    """

    averages: ClassVar[bool] = True

    decay: float = 0.99

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """Build the teacher."""
        return Teacher(network, self.decay)

    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None:
        """Update the teacher."""
        cast(Teacher, own).update(network)

    def predictor(self, own: nn.Module | None, network: Network) -> Network:
        """Return the teacher's network."""
        return cast(Teacher, own).network
