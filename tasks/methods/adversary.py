"""Adversary: the discriminator of S4GAN with its optimizer."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.tasks.methods.dropout import channel_dropout
from nas.tasks.methods.pass_rate import PassRateMonitor

__all__ = ["ADVERSARIAL", "Adversary", "Discriminator", "Judgement", "feature_matching"]

WIDTHS = (64, 128, 256, 512)
ADVERSARIAL = ("matching", "bce")


class Discriminator(nn.Module):
    """Scores images with class maps, N x (3 + K) x H x W: four convolutions, global pooling and a linear layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        sides = (3 + classes, *WIDTHS)
        self.convolutions = nn.ModuleList(nn.Conv2d(cin, cout, 4, stride=2, padding=1) for cin, cout in pairwise(sides))
        self.score = nn.Linear(WIDTHS[-1], 1)

    def forward(self, maps: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return pooled features N x 512 and scores N before the sigmoid, float32.

        With a CPU generator, half of the channels between convolutions are dropped.
        """
        # Four halvings need 16 pixels per side.
        short = [max(0, 16 - side) for side in maps.shape[-2:]]
        x = F.pad(maps, (0, short[1], 0, short[0])) if any(short) else maps
        for index, convolution in enumerate(self.convolutions):
            if index and generator is not None:
                x = channel_dropout(x, generator)
            x = F.leaky_relu(convolution(x), 0.2)
        features = x.float().mean((2, 3))
        return features, self.score(features).float().squeeze(1)


class Judgement(NamedTuple):
    """The adversarial loss of predictions and its gradients, all without a graph.

    Attributes:
        loss: adversarial loss of the segmentation network, a float32 scalar.
        gradient: its gradient with respect to the class probabilities, U x K x H x W.
        scores: scores of the predictions in [0, 1], U.
        weight_gradients: gradients of the discriminator's own loss with respect to its weights.
    """

    loss: Tensor
    gradient: Tensor
    scores: Tensor
    weight_gradients: tuple[Tensor, ...]


class Adversary(nn.Module):
    """A discriminator, its Adam optimizer, and the monitor of the pass rate."""

    def __init__(self, classes: int, lr: float) -> None:
        super().__init__()
        self.discriminator = Discriminator(classes)
        self.optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=lr, betas=(0.9, 0.99))
        # The recipe's optimizer must not train it.
        self.discriminator.requires_grad_(False)
        self.pass_rate = PassRateMonitor()

    def judge(
        self, real: Tensor, images: Tensor, probabilities: Tensor, adversarial: str, generator: torch.Generator
    ) -> Judgement:
        """Score real and predicted maps once, and compute the losses of both networks from these scores.

        The loss of the discriminator is binary cross-entropy with real maps as 1 and predicted maps as 0.

        Args:
            real: labelled images with their true maps, B x (3 + K) x H x W.
            images: unlabelled images, U x 3 x H x W, in the value range of the maps.
            probabilities: their predicted class probabilities, U x K x H x W.
            adversarial: loss of the segmentation network, one of ADVERSARIAL.
            generator: generator of the dropout, which both losses have, as in the published code.
        """
        weights = tuple(self.discriminator.parameters())
        for weight in weights:
            weight.requires_grad_(True)
        with torch.enable_grad():
            predicted = probabilities.detach().requires_grad_(True)
            real_features, on_real = self.discriminator(real, generator)
            fake_features, on_fake = self.discriminator(torch.cat([images, predicted], 1), generator)
            if adversarial == "matching":
                loss = feature_matching(real_features, fake_features)
            else:
                loss = F.softplus(-on_fake).mean()
            own_loss = (F.softplus(-on_real).mean() + F.softplus(on_fake).mean()) / 2
            # Two calls, so that neither computes gradients that only the other needs.
            (gradient,) = torch.autograd.grad(loss, predicted, retain_graph=True)
            weight_gradients = torch.autograd.grad(own_loss, weights)
        for weight in weights:
            weight.requires_grad_(False)
        return Judgement(loss.detach(), gradient, on_fake.detach().sigmoid(), weight_gradients)

    def learn(self, weight_gradients: tuple[Tensor, ...]) -> None:
        """Take an optimizer step of the discriminator."""
        for weight, gradient in zip(self.discriminator.parameters(), weight_gradients, strict=True):
            weight.grad = gradient
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def get_extra_state(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), **self.pass_rate.state_dict()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.pass_rate.load_state_dict(state)


def feature_matching(real: Tensor, fake: Tensor) -> Tensor:
    """Mean absolute difference of the batch means of features B x F and U x F (Mittal et al. 2019, equation 4)."""
    return (real.mean(0) - fake.mean(0)).abs().mean()
