"""mIoU against a case computed by hand, and against torchmetrics."""

from __future__ import annotations

import math

import pytest
import torch
from torchmetrics.segmentation import MeanIoU

from nas.training import Confusion


def test_case_by_hand_with_void_and_an_absent_class() -> None:
    labels = torch.tensor([[[0, 0, 1, 1], [0, 255, 1, 255]]])
    prediction = torch.tensor([[[0, 1, 1, 1], [0, 0, 0, 3]]])
    confusion = Confusion(4)
    confusion.add(prediction, labels)
    scores = confusion.scores()
    # Class 0: 2 hits, 3 labelled, 3 predicted outside void: 2 / 4. Class 1: 2 hits, 3 labelled, 3 predicted: 2 / 4.
    assert scores.iou[:2] == (0.5, 0.5)
    # Class 2 does not occur, class 3 is predicted only on void pixels: both are absent.
    assert all(math.isnan(x) for x in scores.iou[2:])
    assert scores.miou == 0.5
    assert scores.accuracy == pytest.approx(4 / 6)


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    confusion = Confusion(3)
    confusion.add(torch.tensor([[[0, 2]]]), torch.tensor([[[0, 0]]]))
    assert confusion.scores().iou[2] == 0.0
    assert confusion.scores().miou == pytest.approx((0.5 + 0.0) / 2)


def test_agrees_with_torchmetrics_over_several_batches() -> None:
    generator = torch.Generator().manual_seed(0)
    confusion, other = Confusion(5), MeanIoU(num_classes=5, input_format="index", per_class=True)
    labels, predictions = [], []
    for _ in range(3):
        prediction = torch.randint(0, 5, (2, 9, 7), generator=generator)
        label = torch.randint(0, 5, (2, 9, 7), generator=generator)
        confusion.add(prediction, label)
        predictions.append(prediction)
        labels.append(label)
    # A single update with one row, because torchmetrics would average over images.
    other.update(torch.cat(predictions).reshape(1, -1), torch.cat(labels).reshape(1, -1))
    assert torch.allclose(torch.tensor(confusion.scores().iou), other.compute(), atol=1e-6)


def test_miou_without_labelled_pixels_is_zero() -> None:
    confusion = Confusion(2)
    confusion.add(torch.zeros(1, 2, 2, dtype=torch.long), torch.full((1, 2, 2), 255))
    assert confusion.scores().miou == 0.0
