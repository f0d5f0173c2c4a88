"""Pretraining: an encoder trained by a mix of pretext tasks alone, on images without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nas.models import build_network
from nas.space import Recipe
from nas.training.compute import autocast, depthwise_in_float32, memory_layout
from nas.training.images import Epochs, JoinedImages
from nas.training.optimizers import clip_gradients, set_rates
from nas.training.pretext import PretextScore, add_heads, pretext_backward, pretext_scores
from nas.training.state import TrainingState
from nas.training.trainer import LOSS_CHECK_EVERY, Plan, check_finite, make_deterministic
from nas.training.views import index_batches

__all__ = ["Pretraining"]

STATISTICS_BATCHES = 50
"""Batches of clean images that running statistics are computed from."""

SCORED = 64
"""Inputs of each pretext task that a score is the mean of, at least. Few images are used several times."""


class Pretraining:
    """A pretraining in progress.

    Args:
        recipe: a closed recipe with pretext tasks. Its encoder, norm, tasks, optimizer, schedule, augmentation, clip
            and `unlabelled_batch` are used.
        images: the images.
        trained: indices of the images to train on.
        held_out: indices of the images to score on.
        plan: length, seed and device.

    Attributes:
        network: a network with the encoder. Its decoder is not trained.
        step: number of steps trained so far.
    """

    def __init__(
        self, recipe: Recipe, images: JoinedImages, trained: np.ndarray, held_out: np.ndarray, plan: Plan
    ) -> None:
        self.recipe, self.images, self.held_out, self.plan = recipe, images, held_out, plan
        self.device = torch.device(plan.device)
        make_deterministic(self.device, plan.seed)
        self.generator = torch.Generator().manual_seed(plan.seed)
        self.network = build_network(recipe, 1)
        self.network.encoder.load_weights()
        add_heads(self.network, recipe.pretext)
        self.layout = memory_layout(self.network, self.device)
        self.network.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
        if self.device.type == "cpu":
            depthwise_in_float32(self.network)
        self.network.train()
        self.optimizer = recipe.optimizer.build(nn.ModuleList([self.network.encoder, self.network.heads]))
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.trained = trained
        self.epochs = Epochs(len(trained), recipe.unlabelled_batch, self.generator)
        self.step = 0

    def state(self) -> TrainingState:
        """The state that further steps depend on."""
        parts = {"network": self.network, "optimizer": self.optimizer}
        return TrainingState(parts, (self.epochs,), self.generator, self.device)

    def advance(self) -> None:
        """Take a step.

        Raises:
            TrainingError: a loss is not finite.
            torch.OutOfMemoryError: the device has too little memory.
        """
        recipe = self.recipe
        set_rates(self.optimizer, self.base_rates, recipe.schedule.factor(self.step, self.plan.steps))
        self.optimizer.zero_grad(set_to_none=True)
        images = self._views()
        logs = pretext_backward(self.network, recipe.pretext, images, len(images), self.generator, clean=True)
        self.step += 1
        if self.step % LOSS_CHECK_EVERY == 0 or self.step == self.plan.steps:
            check_finite(logs, self.step, recipe.optimizer)
        clip_gradients(self.optimizer, recipe.clip)
        self.optimizer.step()

    def scores(self, heartbeat: Callable[[], None] = lambda: None) -> list[PretextScore]:
        """Score the tasks on the held-out images.

        Args:
            heartbeat: called before every batch.
        """

        def batches() -> Iterator[torch.Tensor]:
            for _ in range(-(-SCORED // len(self.held_out))):
                for indices in index_batches(len(self.held_out), self.images.pixels):
                    heartbeat()
                    images = self.images.images(self.held_out[indices]).float().div_(255)
                    yield images.contiguous(memory_format=self.layout)

        return pretext_scores(self.network, self.recipe.pretext, batches(), self.plan.seed)

    @torch.no_grad()
    def compute_statistics(self, heartbeat: Callable[[], None] = lambda: None) -> None:
        """Compute the running statistics of norms from clean images, since training leaves them alone.

        A segmentation with frozen norms uses them, on clean images.

        Args:
            heartbeat: called before every batch.
        """
        tracking = [m for m in self.network.encoder.modules() if getattr(m, "track_running_stats", False)]
        averaging = [m for m in tracking if isinstance(m, _BatchNorm)]
        momenta = [m.momentum for m in averaging]
        for module in averaging:
            module.reset_running_stats()
            module.momentum = None  # a plain average
        for _ in range(STATISTICS_BATCHES if tracking else 0):
            heartbeat()
            with autocast(self.device):
                self.network.features(self._views())
        for module, momentum in zip(averaging, momenta, strict=True):
            module.momentum = momentum

    def _views(self) -> torch.Tensor:
        """Draw a batch of augmented images, N x 3 x h x w in [0, 1]."""
        chosen = self.trained[next(self.epochs)]
        views, _ = self.recipe.augment.view(self.images.images(chosen), None, self.generator)
        return views.contiguous(memory_format=self.layout)
