"""Supervised: learn only from labelled images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from nas.models import Network
from nas.tasks.methods.semi_supervised import SemiSupervised

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["Supervised"]


@dataclass(frozen=True)
class Supervised(SemiSupervised):
    """Supervised training, the baseline of the other methods."""

    needs_unlabelled: ClassVar[bool] = False
    needs_images: ClassVar[bool] = False

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Return 0."""
        return logits.new_zeros((), dtype=torch.float32), {}
