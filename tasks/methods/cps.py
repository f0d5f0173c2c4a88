"""CPS: two networks with different random weights that learn from each other."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from nas.models import EncoderNet, Network
from nas.space.checks import check_range
from nas.tasks.methods.mean_teacher import ramp
from nas.tasks.methods.semi_supervised import SemiSupervised
from nas.training.batch import cross_entropy
from nas.training.compute import predicted_classes

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["CPS", "Twin"]


@dataclass(frozen=True)
class CPS(SemiSupervised):
    """Cross pseudo supervision (Chen et al. 2021), which doubles the time and memory of a training.

    A twin of the network starts from other random weights, except those of a pretrained encoder. Each network learns
    the other's classes of all pixels, on labelled and unlabelled images. The twin learns the labels by the recipe's
    loss. Only the network is evaluated. Pretraining by pretext tasks trains only the network; the twin catches up while
    the weight is ramped up.

    The paper starts from pretrained encoders at full weight. From random weights, predictions are noise at first, so
    the weight is ramped up here.

    Attributes:
        weight: weight of the cross supervision after the ramp-up (1.5 for VOC, 6 for Cityscapes).
        rampup: share of the training in which the weight grows; 0 for full weight from the start.
    """

    weight: float = 1.5
    rampup: float = 0.3

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """Build the twin."""
        check_range("method.weight", self.weight, 0)
        check_range("method.rampup", self.rampup, 0, 1)
        return Twin(network)

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Compute the twin's supervised loss, and the cross supervision on labelled and unlabelled images."""
        twin = cast(Twin, own).network
        # The twin gets the same batches in the same order, so that its running statistics are computed alike.
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
    """A network like another, but with its own random weights and without pretext heads.

    It is always in training mode, because it is only used in training.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.network.heads = nn.ModuleDict()
        # Pretrained encoders start alike, as in the paper: the decoders differ.
        pretrained = [m for m in self.network.modules() if isinstance(m, EncoderNet) and m.pretrained]
        kept = {id(module) for encoder in pretrained for module in encoder.modules()}
        for module in self.network.modules():
            if id(module) not in kept:
                _reinitialize(module)
        self.train()

    def train(self, mode: bool = True) -> Twin:
        """Stay in training mode."""
        return super().train(True)


def _reinitialize(module: nn.Module) -> None:
    """Sample the weights of a layer again by its `reset_parameters`, from torch's global generator.

    Networks may initialize layers differently: constant parameters, such as the zero scales at the end of residual
    branches, keep their values, and others keep their standard deviation.
    """
    reset = getattr(module, "reset_parameters", None)
    if not callable(reset):
        return
    initial = [(parameter, parameter.detach().clone()) for parameter in module.parameters(recurse=False)]
    reset()
    with torch.no_grad():
        for parameter, old in initial:
            std, new_std = old.std(correction=0), parameter.std(correction=0)
            parameter.copy_(parameter * (std / new_std) if std * new_std > 0 else old)


def _cross_supervision(one: Tensor, other: Tensor) -> Tensor:
    """Sum of the cross-entropies of each network's logits with the other's classes."""
    return cross_entropy(one, predicted_classes(other)) + cross_entropy(other, predicted_classes(one))
