"""SemiSupervised: what the semi-supervised methods have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from nas.models import Network
from nas.space.component import Component

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["SemiSupervised"]


class SemiSupervised(Component):
    """A method that adds one loss on unlabelled images, owns nothing, and evaluates the network itself.

    To add a method, derive a frozen dataclass and write `unlabelled_loss`; the rest where it differs.
    Without unlabelled images the loss is 0, which leaves supervised training.
    """

    needs_unlabelled: ClassVar[bool] = True
    averages: ClassVar[bool] = False

    def advice(self, labelled: int, unlabelled: int) -> str | None:
        """Says that there is nothing to learn from where there are no unlabelled images."""
        if not self.needs_unlabelled or unlabelled:
            return None
        return f"{type(self).__name__} has no unlabelled images to learn from and trains as supervised"

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """What the method owns, on the network's device.

        Raises:
            SpaceError: a field is out of its range.
        """
        return None

    def loss(
        self, own: nn.Module | None, network: Network, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """A float32 scalar added to the supervised loss, and numbers to log; 0 without unlabelled images.

        Args:
            own: what `build` returned.
            network: in training mode.
            batch: the step's images; every random number is drawn from its generator.
            logits: the network's, of the labelled images, with their graph.
            progress: the share of segmentation's training that is done, from 0 to 1.
        """
        if batch.unlabelled is None or not len(batch.unlabelled):
            return logits.new_zeros((), dtype=torch.float32), {}
        return self.unlabelled_loss(own, network, batch.unlabelled, batch, logits, progress)

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """`loss` where there are unlabelled images, `images`, in a weak view, U x 3 x H x W."""
        raise NotImplementedError

    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None:
        """What follows the optimizer's step."""

    def predictor(self, own: nn.Module | None, network: Network) -> Network:
        """The network itself."""
        return network

    def inference(self, network: Network) -> Network:
        """The network itself."""
        return network
