"""What the trainer asks of its parts: data, losses, pretext tasks, methods, optimizers and schedules.

docs/writing-parts.md has an example of each part. A part is a frozen dataclass derived from `nas.Component`, with these
attributes and methods; it need not derive from the protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from nas.models import Network
from nas.training.batch import Batch, Logs

__all__ = ["Data", "Loss", "Method", "Optimizer", "PretextTask", "Schedule", "Split"]


class Split(Protocol):
    """Some images: uint8 RGB N x H x W x 3, masks N x H x W with 255 for void, or None."""

    @property
    def images(self) -> np.ndarray: ...
    @property
    def masks(self) -> np.ndarray | None: ...


class Data(Protocol):
    """A data set with few labels: what may be learnt from, what candidates are ranked on, and what is read once."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def labelled(self) -> Split: ...
    @property
    def unlabelled(self) -> Split: ...
    @property
    def validation(self) -> Split: ...
    @property
    def test(self) -> Split: ...
    @property
    def shifted(self) -> bool: ...


class Loss(Protocol):
    """A segmentation loss."""

    def build(self, class_pixels: Sequence[int]) -> nn.Module:
        """The loss as a module, called with logits N x K x H x W and masks N x H x W; returns a scalar.

        Masks are int64 class indices, 255 where void. A batch may be void throughout. Under mixed precision the logits
        may be bfloat16.

        Args:
            class_pixels: how many labelled pixels each of the K classes has in the training set, for class weights.
        """


class PretextTask(Protocol):
    """A self-supervised task on the shared encoder. Its loss counts `weight` times."""

    weight: float

    def head(self, channels: Sequence[int], reductions: Sequence[int]) -> nn.Module:
        """What turns the encoder's features into a prediction.

        The module is called with a list of features, fine to coarse: N x channels[i] x H/reductions[i] x
        W/reductions[i], where H and W are the image's, padded right and below to a multiple of the largest reduction.
        """

    def make_batch(self, images: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, Any]:
        """The inputs, N x 3 x h x w, and the targets that `loss` compares with, from images N x 3 x H x W in [0, 1].

        Every random number is drawn from the generator, which is on the CPU.
        """

    def loss(self, prediction: torch.Tensor, targets: Any) -> torch.Tensor:
        """A scalar, from what the head returned and the targets."""

    def metric(self, prediction: torch.Tensor, targets: Any) -> float:
        """A number for people, such as an accuracy."""


class Method(Protocol):
    """How unlabelled images help segmentation. `nas.SemiSupervised` is a base class that leaves one loss to write.

    What it owns (a teacher, a discriminator, a second network) is one module. Parameters of it that
    require gradients when it is built are trained by the recipe's optimizer, together with the network.
    """

    needs_unlabelled: bool
    """Whether it reads unlabelled images; they are left out of the batch otherwise."""
    averages: bool
    """Whether it evaluates an average of its own, which leaves a recipe's `ema` without effect."""

    def advice(self, labelled: int, unlabelled: int) -> str | None:
        """What to know before training with so many images, in one line, or None."""

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """What the method owns, on the network's device, or None."""

    def loss(
        self, own: nn.Module | None, network: Network, batch: Batch, logits: torch.Tensor, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """A float32 scalar added to the supervised loss, and numbers to log by name.

        Args:
            own: what `build` returned.
            network: in training mode; called with images N x 3 x H x W in [0, 1], it returns logits N x K x H x W.
            batch: the step's images; every random number is drawn from its generator.
            logits: the network's, of the labelled images, with their graph.
            progress: the share of segmentation's training that is done, from 0 to 1.
        """

    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None:
        """What follows the optimizer's step, such as the teacher's."""

    def predictor(self, own: nn.Module | None, network: Network) -> Network:
        """What is evaluated and exported; `network` is the trained one, or the average of its weights."""

    def inference(self, network: Network) -> Network:
        """An untrained predictor around an untrained network: what a checkpoint is loaded into."""


class Optimizer(Protocol):
    """An optimizer. `lr` is its rate, named where a training diverges."""

    lr: float

    def build(self, network: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of all parameters of a module that require gradients."""


class Schedule(Protocol):
    """A learning-rate schedule."""

    def factor(self, step: int, steps: int) -> float:
        """The factor on the optimizer's rate at `step`, from 0 to `steps` - 1."""
