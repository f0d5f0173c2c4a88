"""CPS: two networks that differ in their random start alone, each taught by the other."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from nas.models import Network
from nas.tasks.methods.mean_teacher import ramp
from nas.tasks.methods.semi_supervised import SemiSupervised, check_range
from nas.training.batch import cross_entropy
from nas.training.compute import predicted_classes

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["CPS", "Twin"]


@dataclass(frozen=True)
class CPS(SemiSupervised):
    """Cross pseudo supervision (Chen et al. 2021), which doubles a training's time and memory.

    A twin of the network starts from other random weights and is trained along with it. Each
    learns the other's classes, of every pixel, on labelled and on unlabelled images; as they err
    differently, neither only confirms itself. On labels the twin learns by the recipe's loss. The
    network is evaluated, the twin then left behind. Pretext tasks that come first train the network
    alone, and the twin catches up while the weight is ramped up.

    The paper starts from pretrained encoders at full weight. From random ones the classes are at
    first noise, so the weight is ramped up here.

    Attributes:
        weight: of the cross supervision once ramped up (1.5 for VOC, 6 for Cityscapes).
        rampup: share of the training over which the weight grows; 0 for full weight from the start.
    """

    weight: float = 1.5
    rampup: float = 0.3

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """The twin."""
        check_range("weight", self.weight, 0.0, math.inf)
        check_range("rampup", self.rampup, 0.0, 1.0)
        return Twin(network)

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """The twin's supervised loss, and the cross supervision of labelled plus that of unlabelled images."""
        twin = cast(Twin, own).network
        # The twin passes over the same images in the same order, as its running statistics are to be no other's.
        twin_logits = twin(batch.images)
        mine, its = network(images), twin(images)
        supervised = batch.criterion(twin_logits.float(), batch.masks)
        on_labelled = _cross_supervision(logits, twin_logits)
        cross = on_labelled + _cross_supervision(mine, its)
        agreement = (predicted_classes(mine) == predicted_classes(its)).float().mean()
        factor = self.weight * ramp(progress, self.rampup)
        return supervised + factor * cross, {
            "loss.twin": supervised.detach(),
            "loss.cross": cross.detach(),
            "agreement": agreement,
            "cross_weight": factor,
        }


class Twin(nn.Module):
    """A network built like another but started from weights of its own, without pretext heads.

    It is always in training mode, whatever `train` is asked: it predicts during training alone.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.network.heads = nn.ModuleDict()
        for module in self.network.modules():
            _start_anew(module)
        self.train()

    def train(self, mode: bool = True) -> Twin:
        """Stays in training mode."""
        return super().train(True)


def _start_anew(module: nn.Module) -> None:
    """Draw a layer's weights again, by its `reset_parameters` and so from torch's global generator.

    A network may have started them otherwise afterwards: what was constant is so again, as the zero
    gains that end residual branches, and what was drawn has its old spread.
    """
    reset = getattr(module, "reset_parameters", None)
    if not callable(reset):
        return
    starts = [(parameter, parameter.detach().clone()) for parameter in module.parameters(recurse=False)]
    reset()
    with torch.no_grad():
        for parameter, old in starts:
            spread, new_spread = old.std(correction=0), parameter.std(correction=0)
            parameter.copy_(parameter * (spread / new_spread) if spread * new_spread > 0 else old)


def _cross_supervision(one: Tensor, other: Tensor) -> Tensor:
    """Cross-entropy of each's logits with the other's classes, added up."""
    return cross_entropy(one, predicted_classes(other)) + cross_entropy(other, predicted_classes(one))
