"""Segmentation losses against their formulas in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nas.space import SpaceError
from nas.tasks import OHEM, CrossEntropy, DiceCE, Focal
from nas.tasks.segmentation import class_weights

COUNTS = (800, 100, 400, 0)
LOSSES = [
    CrossEntropy(),
    CrossEntropy("median"),
    CrossEntropy("sqrt_median", smoothing=0.1),
    DiceCE(),
    DiceCE("median", dice=0.3),
    Focal(),
    Focal(0.5, "median"),
    OHEM(),
    OHEM(0.1, 0.0, "median"),
]


@pytest.fixture
def logits() -> torch.Tensor:
    return 3 * torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def masks() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    masks = torch.randint(0, 3, (2, 5, 6), generator=generator)
    masks[torch.rand(masks.shape, generator=generator) < 0.2] = 255
    return masks


def labelled(logits: torch.Tensor, masks: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Class probabilities P x K, float64, and labels P of the pixels that are not void."""
    scores = np.moveaxis(logits.double().numpy(), 1, -1).reshape(-1, logits.shape[1])
    labels = masks.numpy().reshape(-1)
    exponentials = np.exp(scores - scores.max(1, keepdims=True))
    return (exponentials / exponentials.sum(1, keepdims=True))[labels != 255], labels[labels != 255]


def of_truth(logits: torch.Tensor, masks: torch.Tensor) -> np.ndarray:
    probabilities, labels = labelled(logits, masks)
    return probabilities[np.arange(len(labels)), labels]


# The median of 800, 100 and 400 is 400; a class without pixels has weight 1.
MEDIAN = np.array([0.5, 4.0, 1.0, 1.0])


def test_median_frequency_weights_by_hand() -> None:
    assert np.allclose(class_weights(COUNTS, "median"), MEDIAN)
    assert np.allclose(class_weights(COUNTS, "sqrt_median"), [math.sqrt(0.5), 2.0, 1.0, 1.0])
    assert np.allclose(class_weights((10, 40), "median"), [2.5, 0.625])
    assert class_weights(COUNTS, "none") is None
    assert class_weights((0, 0), "median") is None


@pytest.mark.parametrize("weighting, weights", [("none", np.ones(4)), ("median", MEDIAN)])
def test_cross_entropy(logits: torch.Tensor, masks: torch.Tensor, weighting: str, weights: np.ndarray) -> None:
    labels = labelled(logits, masks)[1]
    expected = (weights[labels] * -np.log(of_truth(logits, masks))).sum() / weights[labels].sum()
    assert CrossEntropy(weighting).build(COUNTS)(logits, masks).item() == pytest.approx(expected, rel=1e-5)


def test_label_smoothing(logits: torch.Tensor, masks: torch.Tensor) -> None:
    probabilities, labels = labelled(logits, masks)
    targets = np.full_like(probabilities, 0.1 / 4)
    targets[np.arange(len(labels)), labels] += 0.9
    expected = -(targets * np.log(probabilities)).sum(1).mean()
    loss = CrossEntropy(smoothing=0.1).build(COUNTS)(logits, masks)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_dice(logits: torch.Tensor, masks: torch.Tensor) -> None:
    probabilities, labels = labelled(logits, masks)
    scores = []
    for c in np.unique(labels):
        truth = labels == c
        scores.append(2 * probabilities[truth, c].sum() / (probabilities[:, c].sum() + truth.sum()))
    dice = 1 - np.mean(scores)
    entropy = -np.log(of_truth(logits, masks)).mean()
    for share in (0.0, 0.3, 1.0):
        loss = DiceCE(dice=share).build(COUNTS)(logits, masks)
        assert loss.item() == pytest.approx((1 - share) * entropy + share * dice, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal(logits: torch.Tensor, masks: torch.Tensor, gamma: float) -> None:
    p, labels = of_truth(logits, masks), labelled(logits, masks)[1]
    expected = (MEDIAN[labels] * (1 - p) ** gamma * -np.log(p)).sum() / MEDIAN[labels].sum()
    assert Focal(gamma, "median").build(COUNTS)(logits, masks).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("fraction, threshold", [(0.25, 0.7), (0.25, 0.0), (0.9, 0.3), (1.0, 0.7)])
def test_ohem(logits: torch.Tensor, masks: torch.Tensor, fraction: float, threshold: float) -> None:
    p, labels = of_truth(logits, masks), labelled(logits, masks)[1]
    order = np.argsort(p)
    count = max(math.ceil(fraction * len(p)), int((p < threshold).sum()))
    kept = order[:count]
    expected = (MEDIAN[labels[kept]] * -np.log(p[kept])).sum() / MEDIAN[labels[kept]].sum()
    loss = OHEM(fraction, threshold, "median").build(COUNTS)(logits, masks)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_void_batch_has_loss_and_gradient_zero(loss: CrossEntropy) -> None:
    logits = torch.randn(1, 4, 3, 3, requires_grad=True)
    value = loss.build(COUNTS)(logits, torch.full((1, 3, 3), 255))
    value.backward()
    assert value.item() == 0.0
    assert logits.grad is not None and torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_void_pixels_are_ignored(loss: CrossEntropy, logits: torch.Tensor, masks: torch.Tensor) -> None:
    void = (masks == 255).unsqueeze(1)
    module = loss.build(COUNTS)
    moved = logits.clone().requires_grad_()
    other = module(torch.where(void, 50.0 - moved, moved), masks)
    other.backward()
    assert other.item() == pytest.approx(module(logits, masks).item(), rel=1e-6)
    assert moved.grad is not None and not moved.grad[void.expand_as(moved)].any()


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_finite_in_half_precision(loss: CrossEntropy, scale: float, masks: torch.Tensor) -> None:
    logits = (scale * torch.randn(2, 4, 5, 6)).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss.build(COUNTS)(logits, masks)
    value.backward()
    assert value.dtype == torch.float32 and torch.isfinite(value)
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_the_gradient_by_finite_differences(loss: CrossEntropy, masks: torch.Tensor) -> None:
    logits = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(3)).requires_grad_()
    module = loss.build(COUNTS)
    module(logits, masks).backward()
    direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        plus, minus = (module(logits + e * direction, masks).item() for e in (2e-4, -2e-4))
    assert logits.grad is not None
    assert (logits.grad * direction).sum().item() == pytest.approx((plus - minus) / 4e-4, abs=5e-3)


@pytest.mark.parametrize(
    "loss", [CrossEntropy("mean"), CrossEntropy(smoothing=2.0), DiceCE(dice=-1), Focal(-1.0), OHEM(fraction=0.0)]
)
def test_an_invalid_setting_gets_a_one_line_error(loss: CrossEntropy) -> None:
    with pytest.raises(SpaceError, match=r"^loss\.\w+ is .*: use (a number|one of) .*$"):
        loss.build(COUNTS)


def test_canonical_resets_settings_without_effect() -> None:
    assert OHEM(1.0, 0.2).canonical() == OHEM(1.0)
    assert DiceCE("median", dice=1.0).canonical() == DiceCE(dice=1.0)
    assert OHEM(0.5, 0.2).canonical() == OHEM(0.5, 0.2)
