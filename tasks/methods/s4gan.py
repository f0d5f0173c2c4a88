"""S4GAN: a discriminator tells truth from prediction, and vouches for predictions worth learning from."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.models import Network
from tasks.methods.semi_supervised import SemiSupervised, check_range
from tasks.segmentation import VOID

if TYPE_CHECKING:
    from nas.training.batch import Batch

__all__ = ["S4GAN", "Adversary", "Discriminator", "feature_matching", "self_training", "truth_map"]

log = logging.getLogger(__name__)

WIDTHS = (64, 128, 256, 512)
PATIENCE = 100


@dataclass(frozen=True)
class S4GAN(SemiSupervised):
    """The adversarial branch of Mittal et al. (2019), without their classification branch.

    Adds to the supervised loss: feature matching between the discriminator's view of labelled
    truth and of unlabelled predictions, and cross-entropy with the own prediction on unlabelled
    images whose discriminator score passes the threshold. Known to collapse where fewer than
    about 5 % of the images are labelled: the pass rate is logged, and a warning is given when it
    stays at 0 or 1. Without unlabelled images it is supervised training.

    Attributes:
        threshold: score above which a prediction is trained on (0.6 for VOC, 0.7 for Cityscapes).
        matching: weight of feature matching.
        self_training: weight of self-training.
        lr: learning rate of the discriminator's Adam (1e-5 for Cityscapes).
    """

    threshold: float = 0.6
    matching: float = 0.1
    self_training: float = 1.0
    lr: float = 1e-4

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """The discriminator and its optimizer, on the network's device."""
        check_range("threshold", self.threshold, 0.0, 1.0)
        check_range("matching", self.matching, 0.0, math.inf)
        check_range("self_training", self.self_training, 0.0, math.inf)
        check_range("lr", self.lr, 0.0, math.inf)
        return Adversary(classes, self.lr).to(next(network.parameters()).device)

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        """Feature matching and self-training, whose gradients reach the network alone.

        The discriminator is asked without dropout here, so that scores do not hang on chance.
        """
        adversary = cast(Adversary, own)
        critic = adversary.discriminator
        predicted = network(images).float()
        real = torch.cat([_own_range(batch.images), truth_map(batch.masks, logits)], 1)
        fake = torch.cat([_own_range(images), predicted.softmax(1)], 1)
        with torch.no_grad():
            real_features, _ = critic(real)
        fake_features, scores = critic(fake)
        adversary.pending = (real, fake.detach())

        matching = feature_matching(real_features, fake_features)
        passed = scores.detach().sigmoid() > self.threshold
        training = self_training(predicted, passed)
        rate = passed.float().mean()
        values = torch.stack([matching.detach(), training.detach(), rate]).tolist()
        adversary.watch(values[2], self.threshold)
        logged = dict(zip(("loss.matching", "loss.self_training", "pass_rate"), values, strict=True))
        return self.matching * matching + self.self_training * training, logged

    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None:
        """One step of the discriminator on the maps the last loss was computed from."""
        cast(Adversary, own).learn(batch.generator)


class Discriminator(nn.Module):
    """Scores an image with its class map, N x (3 + K) x H x W: four convolutions, a mean, a linear layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        sides = (3 + classes, *WIDTHS)
        self.convolutions = nn.ModuleList(nn.Conv2d(cin, cout, 4, stride=2, padding=1) for cin, cout in pairwise(sides))
        self.score = nn.Linear(WIDTHS[-1], 1)

    def forward(self, maps: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Pooled features N x 512 and scores N before the sigmoid, float32.

        Given a CPU generator, half of the channels between the convolutions are dropped by it.
        """
        # Four halvings need 16 pixels a side.
        short = [max(0, 16 - side) for side in maps.shape[-2:]]
        x = F.pad(maps, (0, short[1], 0, short[0])) if any(short) else maps
        for index, convolution in enumerate(self.convolutions):
            if index and generator is not None:
                kept = torch.rand(x.shape[:2], generator=generator) < 0.5
                x = x * (2.0 * kept).to(x)[:, :, None, None]
            x = F.leaky_relu(convolution(x), 0.2)
        features = x.float().mean((2, 3))
        return features, self.score(features).float().squeeze(1)


class Adversary(nn.Module):
    """A discriminator, its Adam and what it will learn from next; all but the latter is in its state."""

    def __init__(self, classes: int, lr: float) -> None:
        super().__init__()
        self.discriminator = Discriminator(classes)
        self.optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=lr, betas=(0.9, 0.99))
        # The recipe's optimizer is for what helps segmentation.
        self.discriminator.requires_grad_(False)
        self.pending: tuple[Tensor, Tensor] | None = None
        self.extreme = 0

    def learn(self, generator: torch.Generator) -> None:
        """One step of binary cross-entropy, real maps as 1 and predicted ones as 0, if any are pending."""
        if self.pending is None:
            return
        real, fake = self.pending
        self.pending = None
        self.discriminator.requires_grad_(True)
        with torch.enable_grad():
            _, on_real = self.discriminator(real, generator)
            _, on_fake = self.discriminator(fake, generator)
            loss = (F.softplus(-on_real).mean() + F.softplus(on_fake).mean()) / 2
            loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.discriminator.requires_grad_(False)

    def watch(self, rate: float, threshold: float) -> None:
        """Warn, once a spell, when for PATIENCE steps no prediction passed or all did."""
        self.extreme = self.extreme + 1 if rate in (0.0, 1.0) else 0
        if self.extreme == PATIENCE:
            log.warning(
                "S4GAN: %s of the predictions passed threshold %g for %d steps; self-training %s",
                "none" if rate == 0 else "all",
                threshold,
                PATIENCE,
                "is idle, lower the threshold" if rate == 0 else "filters nothing, raise the threshold",
            )

    def get_extra_state(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "extreme": self.extreme}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.extreme = state["extreme"]


def truth_map(masks: Tensor, logits: Tensor) -> Tensor:
    """One-hot labels N x K x H x W with the network's own prediction where void, without gradient.

    Predicted maps have no void, so a void left in the true ones would be all the discriminator looks at.
    """
    predicted = logits.detach().float().softmax(1)
    classes = torch.arange(logits.shape[1], device=masks.device).view(1, -1, 1, 1)
    labels = masks.unsqueeze(1)
    return torch.where(labels == VOID, predicted, (labels == classes).float())


def feature_matching(real: Tensor, fake: Tensor) -> Tensor:
    """Mean absolute difference of the batch means of features B x F and U x F (equation 4)."""
    return (real.mean(0) - fake.mean(0)).abs().mean()


def self_training(logits: Tensor, passed: Tensor) -> Tensor:
    """Cross-entropy with the own class over the images, N bool, that passed; 0 if none did (equation 5)."""
    losses = F.cross_entropy(logits, logits.detach().argmax(1), reduction="none").mean((1, 2))
    return (losses * passed).sum() / passed.sum().clamp_min(1)


def _own_range(images: Tensor) -> Tensor:
    """Each image stretched to [0, 1], the range of the class maps beside it."""
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - low) / (high - low).clamp_min(1e-6)
