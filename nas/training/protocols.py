"""Interfaces between the trainer and its parts: data, losses, pretext tasks, methods, optimizers and schedules.

A part is a frozen dataclass derived from `nas.Component` that has these attributes and methods. It need not derive
from the protocol. See docs/writing-parts.md for an example of each part.
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
    """Images, uint8 RGB N x H x W x 3, and masks N x H x W with 255 for void, or None."""

    @property
    def images(self) -> np.ndarray: ...
    @property
    def masks(self) -> np.ndarray | None: ...


class Data(Protocol):
    """A data set with few labels.

    Candidates train on the labelled and unlabelled splits and are ranked on the validation split. The test split is
    read once, at the end.
    """

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
        """Build a module from logits N x K x H x W and masks N x H x W to a scalar.

        Masks are int64 class indices, 255 where void. All pixels of a batch may be void. Logits may be bfloat16.

        Args:
            class_pixels: number of labelled training pixels of each of the K classes, for class weights.
        """


class PretextTask(Protocol):
    """A self-supervised task on the shared encoder. `weight` is the weight of its loss."""

    weight: float

    def head(self, channels: Sequence[int], reductions: Sequence[int]) -> nn.Module:
        """Build the module from the encoder's features to a prediction.

        Its input is the list of features, fine to coarse: N x channels[i] x H/reductions[i] x W/reductions[i], where
        H and W are those of the image, padded at the right and the bottom to a multiple of the largest reduction.
        """

    def make_batch(self, images: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, Any]:
        """Make inputs N x 3 x h x w and targets from images N x 3 x H x W in [0, 1].

        All random numbers must come from `generator`, which is on the CPU.
        """

    def loss(self, prediction: torch.Tensor, targets: Any) -> torch.Tensor:
        """Compute the scalar loss of the head's prediction."""

    def metric(self, prediction: torch.Tensor, targets: Any) -> float:
        """Compute a number for people, such as an accuracy."""


class Method(Protocol):
    """A semi-supervised method. `nas.SemiSupervised` is a base class in which only `unlabelled_loss` is missing.

    A method may own one module, such as a teacher, a discriminator or a second network. Its parameters that require
    gradients when it is built are trained by the recipe's optimizer, together with the network.
    """

    needs_unlabelled: bool
    """Whether the method uses unlabelled images. If not, batches have none."""
    needs_images: bool
    """Whether the method itself reads images, such as those of the batch. If not, batches may hold the features of a
    frozen encoder in place of images (`nas.training.features`). True for a method without this attribute."""
    averages: bool
    """Whether the method evaluates its own average of the weights, so that a recipe's `ema` has no effect."""

    def advice(self, labelled: int, unlabelled: int) -> str | None:
        """Return a one-line warning about training with these numbers of images, or None."""

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """Build the module that the method owns, on the network's device, or return None."""

    def loss(
        self, own: nn.Module | None, network: Network, batch: Batch, logits: torch.Tensor, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """Compute a float32 scalar to add to the supervised loss, and numbers to log by name.

        Args:
            own: the module that `build` returned.
            network: the network in training mode, from images N x 3 x H x W in [0, 1] to logits N x K x H x W.
            batch: the images of the step. All random numbers must come from its generator.
            logits: the network's logits of the labelled images, with their graph.
            progress: completed share of the segmentation training, from 0 to 1.
        """

    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None:
        """Update the module that the method owns, such as a teacher, after the optimizer's step."""

    def predictor(self, own: nn.Module | None, network: Network) -> Network:
        """Return the network to evaluate and export. `network` is the trained one, or the average of its weights."""

    def inference(self, network: Network) -> Network:
        """Return an untrained predictor for an untrained network, to load a checkpoint into."""


class Optimizer(Protocol):
    """An optimizer. `lr` is its learning rate, which error messages name if the training diverges."""

    lr: float

    def build(self, network: nn.Module) -> torch.optim.Optimizer:
        """Build the optimizer for all parameters of a module that require gradients."""


class Schedule(Protocol):
    """A learning-rate schedule."""

    def factor(self, step: int, steps: int) -> float:
        """Return the factor on the optimizer's learning rate at `step`, which runs from 0 to `steps` - 1."""
