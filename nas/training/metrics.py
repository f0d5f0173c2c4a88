"""Mean intersection over union (mIoU) from the confusion matrix of a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nas.training.batch import VOID

__all__ = ["Confusion", "Scores"]


@dataclass(frozen=True)
class Scores:
    """mIoU, pixel accuracy, and IoU by class.

    The IoU of a class absent from labels and predictions is NaN, and not part of the mean.
    """

    miou: float
    accuracy: float
    iou: tuple[float, ...]


class Confusion:
    """Confusion matrix: counts of (label, prediction) pairs, K x K. Void pixels (255) are not counted."""

    def __init__(self, classes: int, device: torch.device | str = "cpu") -> None:
        self.classes = classes
        self.counts = torch.zeros(classes * classes, dtype=torch.int64, device=device)

    def add(self, prediction: torch.Tensor, labels: torch.Tensor) -> None:
        """Add predicted classes N x H x W and their labels N x H x W."""
        known = labels != VOID
        pairs = labels[known].long() * self.classes + prediction[known].long()
        self.counts += torch.bincount(pairs, minlength=self.classes**2)

    def __add__(self, other: Confusion) -> Confusion:
        """Return the sum of both counts."""
        both = Confusion(self.classes, self.counts.device)
        both.counts = self.counts + other.counts
        return both

    def scores(self) -> Scores:
        """Compute the scores. Without any counts, mIoU and accuracy are 0."""
        matrix = self.counts.reshape(self.classes, self.classes).cpu().numpy().astype(np.float64)
        hit = np.diag(matrix)
        union = matrix.sum(0) + matrix.sum(1) - hit
        iou = np.divide(hit, union, out=np.full_like(hit, np.nan), where=union > 0)
        present = iou[union > 0]
        total = matrix.sum()
        return Scores(
            miou=float(present.mean()) if present.size else 0.0,
            accuracy=float(hit.sum() / total) if total else 0.0,
            iou=tuple(float(x) for x in iou),
        )
