"""S4GAN: a discriminator scores predictions on unlabelled images, and the network learns from the best ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from nas.models import Network
from nas.space.checks import check_one_of, check_range
from nas.tasks.methods.adversary import ADVERSARIAL, Adversary
from nas.tasks.methods.semi_supervised import SemiSupervised
from nas.training.batch import VOID, cross_entropy
from nas.training.compute import predicted_classes

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["S4GAN", "passing", "self_training", "truth_map"]

MIN_LABELLED = 0.05
KINDS = ("absolute", "quantile")


@dataclass(frozen=True)
class S4GAN(SemiSupervised):
    """The adversarial branch of Mittal et al. (2019). `Fusion` adds their classification branch.

    Two losses are added to the supervised one: feature matching between the discriminator's features of true and of
    predicted maps, and self-training, which is cross-entropy with the network's own prediction on unlabelled images
    whose discriminator score passes the threshold. Training may collapse if fewer than about 5 % of the images are
    labelled. The pass rate is logged, with a warning if it stays at 0 or 1.

    Attributes:
        threshold: minimum score of predictions that self-training learns from (0.6 for VOC, 0.7 for Cityscapes).
        matching: weight of the adversarial loss.
        self_training: weight of self-training.
        lr: constant learning rate of the discriminator's Adam (1e-5 for Cityscapes).
        threshold_kind: "absolute" for a score, or "quantile" for the share of a step's predictions that do not pass.
            With a quantile, the best prediction always passes. It suits short trainings, in which the discriminator
            rarely gives scores over 0.6.
        adversarial: adversarial loss: "matching", or "bce" for the non-saturating loss (Goodfellow et al. 2014, section
            3), binary cross-entropy of predictions with the label true.
    """

    threshold: float = 0.6
    matching: float = 0.1
    self_training: float = 1.0
    lr: float = 1e-4
    threshold_kind: str = "absolute"
    adversarial: str = "matching"

    def advice(self, labelled: int, unlabelled: int) -> str | None:
        """Warn of too few labelled images."""
        images = labelled + unlabelled
        if unlabelled and labelled < MIN_LABELLED * images:
            return f"S4GAN collapses under about 5 % labels; labelled here: {labelled} of {images} images"
        return super().advice(labelled, unlabelled)

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """Build the discriminator and its optimizer."""
        check_range("method.threshold", self.threshold, 0, 1)
        check_range("method.matching", self.matching, 0)
        check_range("method.self_training", self.self_training, 0)
        check_range("method.lr", self.lr, 0)
        check_one_of("method.threshold_kind", self.threshold_kind, KINDS)
        check_one_of("method.adversarial", self.adversarial, ADVERSARIAL)
        return Adversary(classes, self.lr).to(next(network.parameters()).device)

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Compute the adversarial loss and self-training, and take a step of the discriminator.

        The discriminator learns from the same scores. It may step at once, because the gradients of the network no
        longer need it.
        """
        adversary = cast(Adversary, own)
        predicted = network(images).float()
        probabilities = predicted.softmax(1)
        # Jittered colours would reveal the labelled images.
        labelled = batch.images if batch.plain is None else batch.plain
        real = torch.cat([_stretch(labelled), truth_map(batch.masks, logits)], 1)
        judgement = adversary.judge(real, _stretch(images), probabilities, self.adversarial, batch.generator)
        adversary.learn(judgement.weight_gradients)

        # Has the value of the adversarial loss and its known gradient.
        change = probabilities - probabilities.detach()
        adversarial = judgement.loss + (change * judgement.gradient).sum()
        passed = passing(judgement.scores, self.threshold, self.threshold_kind)
        training = self_training(predicted, passed)
        rate = passed.float().mean()
        adversary.pass_rate.add(rate, f"{self.threshold_kind} threshold {self.threshold:g}")
        return self.matching * adversarial + self.self_training * training, {
            f"loss.{self.adversarial}": judgement.loss,
            "loss.self_training": training.detach(),
            "pass_rate": rate,
        }


def passing(scores: Tensor, threshold: float, kind: str) -> Tensor:
    """Return a mask of the N scores above an absolute threshold, or not below a quantile of them."""
    if kind == "absolute":
        return scores > threshold
    return scores >= scores.quantile(threshold, interpolation="higher")


def truth_map(masks: Tensor, logits: Tensor) -> Tensor:
    """Make one-hot maps N x K x H x W of masks, with the network's own prediction where void, without gradient.

    Predicted maps have no void pixels, so that void would reveal the true ones to the discriminator.
    """
    predicted = logits.detach().float().softmax(1)
    classes = torch.arange(logits.shape[1], device=masks.device).view(1, -1, 1, 1)
    labels = masks.unsqueeze(1)
    return torch.where(labels == VOID, predicted, (labels == classes).float())


def self_training(logits: Tensor, passed: Tensor) -> Tensor:
    """Cross-entropy with the network's own classes over the images that passed, N bool; 0 if none did (equation 5)."""
    labels = predicted_classes(logits.detach())
    return cross_entropy(logits, labels.where(passed[:, None, None], VOID))


def _stretch(images: Tensor) -> Tensor:
    """Stretch each image to [0, 1], the value range of class maps."""
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - low) / (high - low).clamp_min(1e-6)
