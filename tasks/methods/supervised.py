"""Supervised: learn from the labelled images alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from nas.models import Network
from nas.space.component import Component

if TYPE_CHECKING:
    from nas.training.batch import Batch

__all__ = ["Supervised"]


@dataclass(frozen=True)
class Supervised(Component):
    """Adds nothing to the supervised loss: what every other method is measured against."""

    needs_unlabelled: ClassVar[bool] = False

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """Nothing is owned."""
        return None

    def loss(
        self, own: nn.Module | None, network: Network, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        """Zero."""
        return logits.new_zeros((), dtype=torch.float32), {}

    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None:
        """Nothing to update."""

    def predictor(self, own: nn.Module | None, network: Network) -> Network:
        """The network itself."""
        return network
