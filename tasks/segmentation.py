"""Segmentation losses: what the labelled pixels of a batch are scored by, void pixels left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.space.checks import check_one_of, check_range
from nas.space.component import Component
from nas.training.batch import VOID

__all__ = ["OHEM", "VOID", "WEIGHTINGS", "CrossEntropy", "DiceCE", "Focal", "class_weights"]

WEIGHTINGS = ("none", "median", "sqrt_median")


def class_weights(class_pixels: Sequence[int], weighting: str) -> Tensor | None:
    """Weights of the classes, K float32, or None where all count alike.

    Median frequency balancing: weight = median frequency / the class's frequency (Eigen & Fergus
    2015, section 6.3.2), or its square root, which is gentler on very rare classes. A class
    without a single labelled pixel has no frequency: it is left out of the median and weighs 1.

    Raises:
        SpaceError: the weighting is not one of WEIGHTINGS.
    """
    check_one_of("loss.weighting", weighting, WEIGHTINGS)
    seen = [count for count in class_pixels if count > 0]
    if weighting == "none" or not seen:
        return None
    middle = median(seen)
    weights = [middle / count if count > 0 else 1.0 for count in class_pixels]
    if weighting == "sqrt_median":
        weights = [math.sqrt(weight) for weight in weights]
    return torch.tensor(weights, dtype=torch.float32)


class _PixelLoss(nn.Module):
    """Shared by the losses: per-pixel cross-entropies and their weighted mean over labelled pixels.

    Everything is in float32, whatever autocast says. The reduction is our own because that of
    cross_entropy is 0 / 0 on a batch that is void throughout, and not reproducible on CUDA.
    """

    weights: Tensor | None

    def __init__(self, weights: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weights", weights)

    def pixel_losses(self, logits: Tensor, masks: Tensor, smoothing: float = 0.0) -> Tensor:
        """Weighted cross-entropies, N x H x W, 0 where void."""
        return F.cross_entropy(
            logits, masks, self.weights, ignore_index=VOID, reduction="none", label_smoothing=smoothing
        )

    def pixel_weights(self, masks: Tensor) -> Tensor:
        """The weight of every pixel's class, N x H x W, 0 where void."""
        labelled = masks != VOID
        if self.weights is None:
            return labelled.float()
        return self.weights[masks.where(labelled, 0)] * labelled

    def mean(self, losses: Tensor, masks: Tensor) -> Tensor:
        """The sum of the losses over the sum of the weights; 0, with a gradient of 0, where all is void."""
        total = self.pixel_weights(masks).sum()
        return losses.sum() / total.where(total > 0, 1.0)


@dataclass(frozen=True)
class CrossEntropy(Component):
    """Cross-entropy, weighted by class, over the labelled pixels.

    Attributes:
        weighting: "none", "median" or "sqrt_median", see `class_weights`.
        smoothing: share of the target spread evenly over the classes (Szegedy et al. 2016).
    """

    weighting: str = "none"
    smoothing: float = 0.0

    def build(self, class_pixels: Sequence[int]) -> nn.Module:
        """The loss, given how many labelled pixels each class has."""
        check_range("loss.smoothing", self.smoothing, 0, 1)
        return _CrossEntropyLoss(class_weights(class_pixels, self.weighting), self.smoothing)


class _CrossEntropyLoss(_PixelLoss):
    def __init__(self, weights: Tensor | None, smoothing: float) -> None:
        super().__init__(weights)
        self.smoothing = smoothing

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            return self.mean(self.pixel_losses(logits.float(), masks, self.smoothing), masks)


@dataclass(frozen=True)
class DiceCE(Component):
    """(1 - dice) x cross-entropy + dice x soft Dice loss (Milletari et al. 2016), which sees overlap.

    The Dice part is the mean over the classes the batch's labels hold, each counting alike, so
    class weights enter the cross-entropy alone.

    Attributes:
        weighting: class weights of the cross-entropy, see `class_weights`.
        dice: share of the Dice loss, from 0 to 1.
    """

    weighting: str = "none"
    dice: float = 0.5

    def canonical(self) -> DiceCE:
        """Without cross-entropy its class weights have no effect."""
        return replace(self, weighting="none") if self.dice == 1 else self

    def build(self, class_pixels: Sequence[int]) -> nn.Module:
        """The loss, given how many labelled pixels each class has."""
        check_range("loss.dice", self.dice, 0, 1)
        return _DiceCELoss(class_weights(class_pixels, self.weighting), self.dice)


class _DiceCELoss(_PixelLoss):
    def __init__(self, weights: Tensor | None, dice: float) -> None:
        super().__init__(weights)
        self.dice = dice

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            entropy = self.mean(self.pixel_losses(logits, masks), masks)
            return (1 - self.dice) * entropy + self.dice * _dice_loss(logits, masks)


def _dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """1 - 2 |P G| / (|P| + |G|) over the labelled pixels of the batch, a mean over the classes in it."""
    classes = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1)
    truth = masks.unsqueeze(1) == classes
    probabilities = logits.softmax(1) * (masks != VOID).unsqueeze(1)
    sizes = truth.sum((0, 2, 3))
    overlap = (probabilities * truth).sum((0, 2, 3))
    scores = 2 * overlap / (probabilities.sum((0, 2, 3)) + sizes).clamp_min(1e-6)
    present = sizes > 0
    return ((1 - scores) * present).sum() / present.sum().clamp_min(1)


@dataclass(frozen=True)
class Focal(Component):
    """Cross-entropy scaled by (1 - p)^gamma, p that of the true class (Lin et al. 2017, equation 5).

    Attributes:
        gamma: how fast easy pixels fade; 0 is cross-entropy.
        weighting: the class weights, see `class_weights`.
    """

    gamma: float = 2.0
    weighting: str = "none"

    def build(self, class_pixels: Sequence[int]) -> nn.Module:
        """The loss, given how many labelled pixels each class has."""
        check_range("loss.gamma", self.gamma, 0)
        return _FocalLoss(class_weights(class_pixels, self.weighting), self.gamma)


class _FocalLoss(_PixelLoss):
    def __init__(self, weights: Tensor | None, gamma: float) -> None:
        super().__init__(weights)
        self.gamma = gamma

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            plain = F.cross_entropy(logits.float(), masks, ignore_index=VOID, reduction="none")
            # The floor keeps the slope finite at p = 1, where gamma < 1 has an infinite one.
            doubt = (-torch.expm1(-plain)).clamp_min(1e-7)
            return self.mean(doubt**self.gamma * plain * self.pixel_weights(masks), masks)


@dataclass(frozen=True)
class OHEM(Component):
    """Cross-entropy over the hard pixels alone (online hard example mining, Shrivastava et al. 2016).

    Kept are the pixels whose true class has a probability below the threshold, and never fewer
    than the hardest fraction of the labelled ones; pixels as hard as the last kept are kept too.

    Attributes:
        fraction: least share of the labelled pixels that is kept, above 0.
        threshold: probability under which a pixel is always kept; 0 leaves the fraction alone to decide.
        weighting: the class weights of the kept pixels, see `class_weights`.
    """

    fraction: float = 0.25
    threshold: float = 0.7
    weighting: str = "none"

    def canonical(self) -> OHEM:
        """When all are kept no threshold has an effect."""
        return replace(self, threshold=OHEM.threshold) if self.fraction == 1 else self

    def build(self, class_pixels: Sequence[int]) -> nn.Module:
        """The loss, given how many labelled pixels each class has."""
        check_range("loss.fraction", self.fraction, 1e-6, 1)
        check_range("loss.threshold", self.threshold, 0, 1)
        return _OHEMLoss(class_weights(class_pixels, self.weighting), self.fraction, self.threshold)


class _OHEMLoss(_PixelLoss):
    def __init__(self, weights: Tensor | None, fraction: float, threshold: float) -> None:
        super().__init__(weights)
        self.fraction = fraction
        self.ceiling = -math.log(threshold) if threshold > 0 else math.inf

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            plain = F.cross_entropy(logits.float(), masks, ignore_index=VOID, reduction="none")
            kept = masks.where(self._hard(plain.detach(), masks), VOID)
            return self.mean(plain * self.pixel_weights(kept), kept)

    def _hard(self, losses: Tensor, masks: Tensor) -> Tensor:
        """Which pixels are kept, without asking the device for a number."""
        labelled = masks != VOID
        losses = losses.where(labelled, -1.0)
        ranked = losses.flatten().topk(max(1, math.ceil(self.fraction * losses.numel()))).values
        last = (self.fraction * labelled.sum()).ceil().long() - 1
        cut = ranked.index_select(0, last.clamp(0, len(ranked) - 1).view(1)).clamp_max(self.ceiling)
        return labelled & (losses >= cut)
