"""SemiSupervised, the base class of semi-supervised methods."""

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
    """Base class of methods that add a loss on unlabelled images.

    To add a method, derive a frozen dataclass and implement `unlabelled_loss`. By default, a method owns no module and
    the network itself is evaluated. Without unlabelled images the loss is 0, and training is supervised.
    """

    needs_unlabelled: ClassVar[bool] = True
    needs_images: ClassVar[bool] = True
    averages: ClassVar[bool] = False

    def advice(self, labelled: int, unlabelled: int) -> str | None:
        """Warn if there are no unlabelled images."""
        if not self.needs_unlabelled or unlabelled:
            return None
        return f"{type(self).__name__} has no unlabelled images to learn from and trains as supervised"

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """Build the module that the method owns, on the network's device, or return None.

        Raises:
            SpaceError: a field is out of range.
        """
        return None

    def loss(
        self, own: nn.Module | None, network: Network, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Compute a float32 scalar to add to the supervised loss, and numbers to log; 0 without unlabelled images.

        Args:
            own: the module that `build` returned.
            network: the network in training mode.
            batch: the images of the step. All random numbers must come from its generator.
            logits: the network's logits of the labelled images, with their graph.
            progress: completed share of the segmentation training, from 0 to 1.
        """
        if batch.unlabelled is None or not len(batch.unlabelled):
            return logits.new_zeros((), dtype=torch.float32), {}
        return self.unlabelled_loss(own, network, batch.unlabelled, batch, logits, progress)

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Compute the loss of unlabelled images U x 3 x H x W in a weak view; other arguments as for `loss`."""
        raise NotImplementedError

    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None:
        """Update the module that the method owns, after the optimizer's step."""

    def predictor(self, own: nn.Module | None, network: Network) -> Network:
        """Return the network itself."""
        return network

    def inference(self, network: Network) -> Network:
        """Return the network itself."""
        return network
