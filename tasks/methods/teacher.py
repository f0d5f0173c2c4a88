"""Teacher: a moving average of a network, and what the methods that learn from one have in common."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor, nn

from nas.models import Network
from nas.tasks.methods.semi_supervised import SemiSupervised, check_range
from nas.training.ema import decay_with_warmup, ema_update

if TYPE_CHECKING:
    from nas.training.batch import Batch

__all__ = ["Follower", "Teacher", "TeacherMethod", "squared_difference"]


class Follower(nn.Module):
    """Follows a network by averages, and counts how often it has.

    Updates are counted here, not taken from the training's step: when pretext tasks alone come
    first, the average starts late and must hurry no less.
    """

    def __init__(self) -> None:
        super().__init__()
        self.updates = 0

    def next_decay(self, decay: float) -> float:
        """The decay of the next update, which is counted: at most (n + 1) / (n + 10) at the n-th, from 0.

        The random start is so soon forgotten.
        """
        self.updates += 1
        return decay_with_warmup(decay, self.updates - 1)

    def get_extra_state(self) -> dict[str, Any]:
        return {"updates": self.updates}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]


class Teacher(Follower):
    """The average of a network's weights and norm buffers over the steps so far (Tarvainen & Valpola 2017).

    It is always in evaluation mode, whatever `train` is asked: with the averaged buffers it is
    the very function that is evaluated in the end, its answer for an image depends on no other
    image of the batch, and its buffers change by averaging alone.

    Args:
        network: what is averaged; the pretext heads are left out.
        decay: largest share of the old average kept at an update.
    """

    def __init__(self, network: Network, decay: float) -> None:
        super().__init__()
        check_range("decay", decay, 0.0, 1.0)
        self.decay = decay
        self.network = copy.deepcopy(network)
        self.network.heads = nn.ModuleDict()
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Teacher:
        """Stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Class probabilities N x K x H x W, float32."""
        probabilities: Tensor = self.network(images).float().softmax(1)
        return probabilities

    def follow(self, network: nn.Module) -> None:
        """Average in the network's present weights and buffers; counters are copied."""
        ema_update(self.network, network, self.next_decay(self.decay))


def squared_difference(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Squared distance of softmax(logits) to the probabilities: summed over classes, a mean over pixels.

    The sum keeps the term's size, at most 2, whatever the number of classes.
    """
    return (logits.float().softmax(1) - probabilities).square().sum(1).mean()


@dataclass(frozen=True)
class TeacherMethod(SemiSupervised):
    """A method that learns from a teacher and evaluates it.

    Without unlabelled images it is supervised training whose averaged weights are evaluated.

    Attributes:
        decay: of the teacher's average.
    """

    averages: ClassVar[bool] = True

    decay: float = 0.99

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """The teacher."""
        return Teacher(network, self.decay)

    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None:
        """The teacher follows the network."""
        cast(Teacher, own).follow(network)

    def predictor(self, own: nn.Module | None, network: Network) -> Network:
        """The teacher."""
        return cast(Teacher, own).network
