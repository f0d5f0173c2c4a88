"""What the trainer asks of the parts that live outside `nas`: data, losses, pretext tasks and methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from nas.models import Network
from nas.training.batch import Batch, Logs

__all__ = ["Data", "Loss", "Method", "PretextTask", "Split"]


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
    """A segmentation loss; `build` is given the labelled pixels of each class."""

    def build(self, class_pixels: Sequence[int]) -> nn.Module: ...


class PretextTask(Protocol):
    """A self-supervised task on the shared encoder."""

    weight: float

    def head(self, channels: Sequence[int], reductions: Sequence[int]) -> nn.Module: ...
    def make_batch(self, images: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, Any]: ...
    def loss(self, prediction: torch.Tensor, targets: Any) -> torch.Tensor: ...
    def metric(self, prediction: torch.Tensor, targets: Any) -> float: ...


class Method(Protocol):
    """How unlabelled images help segmentation.

    What it owns (a teacher, a discriminator, a second network) is one module. Parameters of it that
    require gradients when it is built are trained by the recipe's optimizer, together with the network.
    """

    needs_unlabelled: bool
    averages: bool
    """Whether it evaluates an average of its own, which leaves a recipe's `ema` without effect."""

    def advice(self, labelled: int, unlabelled: int) -> str | None:
        """What to know before training with so many images, in one line, or None."""

    def build(self, network: Network, classes: int) -> nn.Module | None: ...
    def loss(
        self, own: nn.Module | None, network: Network, batch: Batch, logits: torch.Tensor, progress: float
    ) -> tuple[torch.Tensor, Logs]: ...
    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None: ...
    def predictor(self, own: nn.Module | None, network: Network) -> Network:
        """What is evaluated and exported; `network` is the trained one, or the average of its weights."""

    def inference(self, network: Network) -> Network:
        """An untrained predictor around an untrained network: what a checkpoint is loaded into."""
