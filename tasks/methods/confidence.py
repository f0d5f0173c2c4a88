"""Confidence: learning from predicted classes where the prediction is sure enough."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["confident_cross_entropy", "confident_pixels"]


def confident_pixels(probabilities: Tensor, confidence: float) -> Tensor:
    """Where the likeliest class of N x K x H x W has at least that probability, N x H x W bool."""
    return probabilities.amax(1) >= confidence


def confident_cross_entropy(logits: Tensor, probabilities: Tensor, confidence: float) -> Tensor:
    """Cross-entropy of the logits with the likeliest classes, over the confident pixels alone.

    The sum is divided by the number of all pixels (Sohn et al. 2020, equation 4): while few are
    confident the term stays small, and grows by itself as the predictions it learns from mature.

    Args:
        logits: what is trained, N x K x H x W.
        probabilities: what is learnt from, N x K x H x W, without gradient.
        confidence: the least probability of a pixel's likeliest class.
    """
    losses = F.cross_entropy(logits.float(), probabilities.argmax(1), reduction="none")
    return (losses * confident_pixels(probabilities, confidence)).mean()
