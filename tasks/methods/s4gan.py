"""S4GAN: a discriminator tells truth from prediction, and vouches for predictions worth learning from."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.models import Network
from nas.space.component import SpaceError
from nas.tasks.methods.semi_supervised import SemiSupervised, check_range
from nas.tasks.random_numbers import channel_dropout
from nas.training.batch import VOID, cross_entropy
from nas.training.compute import predicted_classes

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["S4GAN", "Adversary", "Discriminator", "feature_matching", "passing", "self_training", "truth_map"]

log = logging.getLogger(__name__)

WIDTHS = (64, 128, 256, 512)
PATIENCE = 100
TOGETHER = 10
FEWEST = 0.05
KINDS = ("absolute", "quantile")
ADVERSARIAL = ("matching", "bce")


@dataclass(frozen=True)
class S4GAN(SemiSupervised):
    """The adversarial branch of Mittal et al. (2019); `Fusion` adds their classification branch.

    Adds to the supervised loss: feature matching between the discriminator's view of labelled
    truth and of unlabelled predictions, and cross-entropy with the own prediction on unlabelled
    images whose discriminator score passes the threshold. Known to collapse where fewer than
    about 5 % of the images are labelled: the pass rate is logged, and a warning is given when it
    stays at 0 or 1. Without unlabelled images it is supervised training.

    Attributes:
        threshold: score above which a prediction is trained on (0.6 for VOC, 0.7 for Cityscapes).
        matching: weight of feature matching, or of what stands in its place.
        self_training: weight of self-training.
        lr: learning rate of the discriminator's Adam (1e-5 for Cityscapes), constant, whatever the recipe's schedule.
        threshold_kind: "absolute" for a score, or "quantile" for the share of a step's predictions that
            do not pass: the best always does, whatever level the scores have reached. Young
            discriminators seldom score over 0.6, so short trainings want the quantile.
        adversarial: "matching", or "bce" for the binary cross-entropy of the predictions being
            scored as true (Goodfellow et al. 2014, section 3, the form that does not saturate).
    """

    threshold: float = 0.6
    matching: float = 0.1
    self_training: float = 1.0
    lr: float = 1e-4
    threshold_kind: str = "absolute"
    adversarial: str = "matching"

    def advice(self, labelled: int, unlabelled: int) -> str | None:
        """Says where labels are too few."""
        images = labelled + unlabelled
        if unlabelled and labelled < FEWEST * images:
            return f"S4GAN collapses under about 5 % labels; labelled here: {labelled} of {images} images"
        return super().advice(labelled, unlabelled)

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """The discriminator and its optimizer, on the network's device."""
        check_range("threshold", self.threshold, 0.0, 1.0)
        check_range("matching", self.matching, 0.0, math.inf)
        check_range("self_training", self.self_training, 0.0, math.inf)
        check_range("lr", self.lr, 0.0, math.inf)
        _check_one_of("threshold_kind", self.threshold_kind, KINDS)
        _check_one_of("adversarial", self.adversarial, ADVERSARIAL)
        return Adversary(classes, self.lr).to(next(network.parameters()).device)

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """The adversarial term and self-training, whose gradients reach the network alone."""
        adversary = cast(Adversary, own)
        predicted = network(images).float()
        probabilities = predicted.softmax(1)
        # Jittered colours would tell the labelled images from the others without a look at the maps.
        labelled = batch.images if batch.plain is None else batch.plain
        real = torch.cat([_own_range(labelled), truth_map(batch.masks, logits)], 1)
        judged = adversary.judge(real, _own_range(images), probabilities, self.adversarial, batch.generator)

        # Worth the value, and its gradient is the known one.
        moved = probabilities - probabilities.detach()
        adversarial = judged.value + (moved * judged.gradient).sum()
        passed = passing(judged.scores, self.threshold, self.threshold_kind)
        training = self_training(predicted, passed)
        rate = passed.float().mean()
        adversary.watch(rate, f"{self.threshold_kind} threshold {self.threshold:g}")
        return self.matching * adversarial + self.self_training * training, {
            f"loss.{self.adversarial}": judged.value,
            "loss.self_training": training.detach(),
            "pass_rate": rate,
        }

    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None:
        """One step of the discriminator, on the maps of the last loss."""
        cast(Adversary, own).learn()


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
                x = channel_dropout(x, generator)
            x = F.leaky_relu(convolution(x), 0.2)
        features = x.float().mean((2, 3))
        return features, self.score(features).float().squeeze(1)


class Judged(NamedTuple):
    """What the discriminator made of predictions: all without a graph.

    Attributes:
        value: of the adversarial term, a float32 scalar.
        gradient: of it, for the class probabilities, U x K x H x W.
        scores: U, from 0 to 1.
    """

    value: Tensor
    gradient: Tensor
    scores: Tensor


class Adversary(nn.Module):
    """A discriminator, its Adam and the gradients of its next step; all but the latter is in its state."""

    def __init__(self, classes: int, lr: float) -> None:
        super().__init__()
        self.discriminator = Discriminator(classes)
        self.optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=lr, betas=(0.9, 0.99))
        # The recipe's optimizer is for what helps segmentation.
        self.discriminator.requires_grad_(False)
        self.pending: tuple[Tensor, ...] = ()
        # Steps in a row in which all predictions passed, or, negative, none; and the rates of the latest few.
        self.extreme = 0
        self.rates: list[Tensor] = []

    def judge(
        self, real: Tensor, images: Tensor, probabilities: Tensor, adversarial: str, generator: torch.Generator
    ) -> Judged:
        """Score each map once, for the network's sake and for the discriminator's own.

        Both learn from the same scores, as the discriminator moves only after the network: its
        gradients, of binary cross-entropy with real maps as 1 and predicted ones as 0, await `learn`.

        Args:
            real: labelled images and true maps, B x (3 + K) x H x W.
            images: unlabelled, U x 3 x H x W, in the range of the maps.
            probabilities: predicted for them, U x K x H x W.
            adversarial: one of ADVERSARIAL.
            generator: of the dropout, which is on for both, as it was when published.
        """
        weights = tuple(self.discriminator.parameters())
        for weight in weights:
            weight.requires_grad_(True)
        with torch.enable_grad():
            predicted = probabilities.detach().requires_grad_(True)
            real_features, on_real = self.discriminator(real, generator)
            fake_features, on_fake = self.discriminator(torch.cat([images, predicted], 1), generator)
            if adversarial == "matching":
                value = feature_matching(real_features, fake_features)
            else:
                value = F.softplus(-on_fake).mean()
            own = (F.softplus(-on_real).mean() + F.softplus(on_fake).mean()) / 2
            # Asked for one by one, neither computes what only the other needs.
            (gradient,) = torch.autograd.grad(value, predicted, retain_graph=True)
            self.pending = torch.autograd.grad(own, weights)
        for weight in weights:
            weight.requires_grad_(False)
        return Judged(value.detach(), gradient, on_fake.detach().sigmoid())

    def learn(self) -> None:
        """One step of the discriminator, if gradients are pending."""
        if not self.pending:
            return
        for weight, gradient in zip(self.discriminator.parameters(), self.pending, strict=True):
            weight.grad = gradient
        self.pending = ()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def watch(self, rate: Tensor, threshold: str) -> None:
        """Warn, once a spell, when for PATIENCE steps no prediction passed or all did.

        Rates are read a few at once: to read each would be to wait for the device at every step.
        """
        self.rates.append(rate)
        if len(self.rates) == TOGETHER:
            for known in torch.stack([each.cpu() for each in self.rates]).tolist():
                self._count(known, threshold)
            self.rates.clear()

    def _count(self, rate: float, threshold: str) -> None:
        if rate == 1.0:
            self.extreme = max(self.extreme, 0) + 1
        else:
            self.extreme = min(self.extreme, 0) - 1 if rate == 0.0 else 0
        if abs(self.extreme) == PATIENCE:
            log.warning(
                "S4GAN: %s of the predictions passed the %s for %d steps; self-training %s",
                "none" if rate == 0 else "all",
                threshold,
                PATIENCE,
                'is idle, lower it or use threshold_kind="quantile"'
                if rate == 0
                else "filters nothing, raise it or unlabelled_batch",
            )

    def get_extra_state(self) -> dict[str, Any]:
        rates = [rate.cpu() for rate in self.rates]
        return {"optimizer": self.optimizer.state_dict(), "extreme": self.extreme, "rates": rates}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.extreme, self.rates = state["extreme"], list(state["rates"])


def passing(scores: Tensor, threshold: float, kind: str) -> Tensor:
    """Which of the scores, N, pass: those above the threshold, or not below that quantile of them."""
    if kind == "absolute":
        return scores > threshold
    return scores >= scores.quantile(threshold, interpolation="higher")


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
    """Cross-entropy with the own classes over the images, N bool, that passed; 0 if none did (equation 5)."""
    labels = predicted_classes(logits.detach())
    return cross_entropy(logits, labels.where(passed[:, None, None], VOID))


def _own_range(images: Tensor) -> Tensor:
    """Each image stretched to [0, 1], the range of the class maps beside it."""
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - low) / (high - low).clamp_min(1e-6)


def _check_one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SpaceError(f"S4GAN: {name} {value!r} is unknown, use one of {', '.join(known)}")
