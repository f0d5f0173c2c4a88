"""Segmentation losses. All ignore void pixels."""

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
    """Compute class weights, K float32; None for equal weights.

    "median" is median frequency balancing: median frequency / frequency of the class (Eigen & Fergus 2015, section
    6.3.2). "sqrt_median" is its square root, which limits the weights of very rare classes. A class without labelled
    pixels is left out of the median and has weight 1.

    Args:
        class_pixels: number of labelled pixels of each class.
        weighting: one of WEIGHTINGS.

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
    """Base class of the losses: cross-entropies per pixel and their weighted mean over labelled pixels.

    Losses are computed in float32, also under autocast. The mean is not left to `F.cross_entropy`, whose mean is 0 / 0
    if all pixels are void, and not deterministic on CUDA.
    """

    weights: Tensor | None

    def __init__(self, weights: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weights", weights)

    def pixel_losses(self, logits: Tensor, masks: Tensor, smoothing: float = 0.0) -> Tensor:
        """Compute weighted cross-entropies, N x H x W, 0 where void."""
        return F.cross_entropy(
            logits, masks, self.weights, ignore_index=VOID, reduction="none", label_smoothing=smoothing
        )

    def pixel_weights(self, masks: Tensor) -> Tensor:
        """Look up the class weight of every pixel, N x H x W, 0 where void."""
        labelled = masks != VOID
        if self.weights is None:
            return labelled.float()
        return self.weights[masks.where(labelled, 0)] * labelled

    def mean(self, losses: Tensor, masks: Tensor) -> Tensor:
        """Divide the sum of losses by the sum of weights. If all pixels are void, loss and gradient are 0."""
        total = self.pixel_weights(masks).sum()
        return losses.sum() / total.where(total > 0, 1.0)


@dataclass(frozen=True)
class CrossEntropy(Component):
    """Cross-entropy with class weights and label smoothing.

    Attributes:
        weighting: "none", "median" or "sqrt_median", see `class_weights`.
        smoothing: label smoothing: share of the target that is spread evenly over the classes (Szegedy et al. 2016).
    """

    weighting: str = "none"
    smoothing: float = 0.0

    def build(self, class_pixels: Sequence[int]) -> nn.Module:
        """Build the loss module from the number of labelled pixels of each class."""
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
    """(1 - dice) x cross-entropy + dice x soft Dice loss (Milletari et al. 2016).

    The Dice loss is the unweighted mean over the classes in the labels of the batch. Class weights apply only to the
    cross-entropy.

    Attributes:
        weighting: class weights of the cross-entropy, see `class_weights`.
        dice: share of the Dice loss, from 0 to 1.
    """

    weighting: str = "none"
    dice: float = 0.5

    def canonical(self) -> DiceCE:
        """Reset the class weights where there is no cross-entropy."""
        return replace(self, weighting="none") if self.dice == 1 else self

    def build(self, class_pixels: Sequence[int]) -> nn.Module:
        """Build the loss module from the number of labelled pixels of each class."""
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
    """Mean of 1 - 2 |P G| / (|P| + |G|) over the classes in the labels of the batch."""
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
    """Focal loss: cross-entropy times (1 - p)^gamma, with p the probability of the true class (Lin et al. 2017, eq. 5).

    Attributes:
        gamma: focusing parameter; larger values reduce the loss of easy pixels more, 0 is cross-entropy.
        weighting: class weights, see `class_weights`.
    """

    gamma: float = 2.0
    weighting: str = "none"

    def build(self, class_pixels: Sequence[int]) -> nn.Module:
        """Build the loss module from the number of labelled pixels of each class."""
        check_range("loss.gamma", self.gamma, 0)
        return _FocalLoss(class_weights(class_pixels, self.weighting), self.gamma)


class _FocalLoss(_PixelLoss):
    def __init__(self, weights: Tensor | None, gamma: float) -> None:
        super().__init__(weights)
        self.gamma = gamma

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            plain = F.cross_entropy(logits.float(), masks, ignore_index=VOID, reduction="none")
            # Clamped because the gradient at p = 1 is infinite for gamma < 1.
            one_minus_p = (-torch.expm1(-plain)).clamp_min(1e-7)
            return self.mean(one_minus_p**self.gamma * plain * self.pixel_weights(masks), masks)


@dataclass(frozen=True)
class OHEM(Component):
    """Online hard example mining (Shrivastava et al. 2016): cross-entropy over hard pixels only.

    Hard pixels are those whose true class has a probability below `threshold`, but at least the hardest `fraction` of
    the labelled pixels. Ties with the last of these are kept.

    Attributes:
        fraction: minimum share of the labelled pixels to keep, above 0.
        threshold: pixels below this probability are always kept; 0 to keep just the fraction.
        weighting: class weights, see `class_weights`.
    """

    fraction: float = 0.25
    threshold: float = 0.7
    weighting: str = "none"

    def canonical(self) -> OHEM:
        """Reset the threshold where all pixels are kept."""
        return replace(self, threshold=OHEM.threshold) if self.fraction == 1 else self

    def build(self, class_pixels: Sequence[int]) -> nn.Module:
        """Build the loss module from the number of labelled pixels of each class."""
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
        """Return the mask of pixels to keep, without reading a number from the device."""
        labelled = masks != VOID
        losses = losses.where(labelled, -1.0)
        ranked = losses.flatten().topk(max(1, math.ceil(self.fraction * losses.numel()))).values
        last = (self.fraction * labelled.sum()).ceil().long() - 1
        cut = ranked.index_select(0, last.clamp(0, len(ranked) - 1).view(1)).clamp_max(self.ceiling)
        return labelled & (losses >= cut)
