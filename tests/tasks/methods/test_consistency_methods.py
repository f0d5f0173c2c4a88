"""Methods that learn from predicted classes, against their formulas in NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.models import Encoder, Plain, Residual, Stage, UNet, build_network
from nas.space import Recipe, SpaceError
from nas.tasks import CPS, ClassMix, FixMatch, MeanTeacher, PseudoLabel, UniMatch
from nas.tasks.methods.cps import Twin
from nas.tasks.methods.dropout import channel_dropout
from nas.tasks.methods.mixing import boxes, class_masks, mixed
from nas.tasks.methods.strong_view import strong_view
from nas.training.batch import Batch
from tests.contracts.stand_in import TinyNetwork, rng

CLASSES = 4


class Pixelwise(nn.Module):
    """A network that classifies each pixel separately, so that mixing commutes with it. Records its inputs."""

    def __init__(self, seed: int = 5, scale: float = 8.0) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, CLASSES, 1)
        self.heads = nn.ModuleDict()
        self.seen: list[Tensor] = []
        with torch.no_grad():
            self.layer.weight.copy_(scale * torch.randn(CLASSES, 3, 1, 1, generator=rng(seed)))
            self.layer.bias.zero_()  # type: ignore[union-attr]

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.features(images), (images.shape[-2], images.shape[-1]))

    def features(self, images: Tensor) -> list[Tensor]:
        self.seen.append(images)
        return [images, 2 * images]

    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        return self.layer((features[0] + features[1]) / 3 - 0.5)


def batch_of(unlabelled: Tensor, seed: int = 4) -> Batch:
    images = torch.rand(2, 3, *unlabelled.shape[-2:], generator=rng(9))
    masks = torch.randint(0, CLASSES, (2, *unlabelled.shape[-2:]), generator=rng(8))
    masks[:, 0] = 255
    return Batch(images, masks, unlabelled, rng(seed))


def student_and_teacher(method: Any) -> tuple[Pixelwise, nn.Module]:
    """A student whose logits are half of its teacher's."""
    network = Pixelwise()
    own = method.build(network, CLASSES)
    with torch.no_grad():
        network.layer.weight.mul_(0.5)
    return network, own


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def scores(network: Any, images: Tensor, factor: float = 1.0) -> np.ndarray:
    """Logits of Pixelwise, computed in NumPy."""
    weight = network.layer.weight.detach().double().numpy()[:, :, 0, 0]
    return factor * np.einsum("kc,nchw->nkhw", weight, images.double().numpy() - 0.5)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy of each pixel, N x H x W."""
    return -np.log(np.take_along_axis(softmax(logits), labels[:, None], 1))[:, 0]


def masked(logits: np.ndarray, teacher: np.ndarray, confidence: float) -> float:
    """Cross-entropy over confident pixels, divided by the number of all pixels."""
    losses, total = cross_entropy(logits, teacher.argmax(1)), 0.0
    for n, y, x in np.ndindex(losses.shape):
        if teacher[n, :, y, x].max() >= confidence:
            total += losses[n, y, x]
    return total / losses.size


# Class masks and ClassMix


def test_class_masks_select_half_of_the_present_classes() -> None:
    labels = torch.randint(0, 5, (6, 9, 7), generator=rng())
    labels[0] = 3
    labels[1] = torch.where(labels[1] > 2, 4, 0)
    labels[2].clamp_(max=2)
    labels[3][labels[3] == 1] = 0
    for seed in range(20):
        found = class_masks(labels, 5, rng(seed))
        assert found.shape == (6, 1, 9, 7) and found.dtype == torch.bool
        for mask, label in zip(found[:, 0], labels, strict=True):
            taken, left = set(label[mask].tolist()), set(label[~mask].tolist())
            assert not taken & left
            assert len(taken) == len(taken | left) // 2


def test_class_masks_are_uniform_and_independent() -> None:
    labels = torch.arange(5).view(1, 1, 5).expand(400, 2, 5)
    found = class_masks(labels, 8, rng())[:, 0, 0].float()
    assert (found.mean(0) - 2 / 5).abs().max() < 0.1
    assert len({tuple(row.tolist()) for row in found}) == math.comb(5, 2)


@pytest.mark.parametrize("count", [1, 3])
def test_classmix_pastes_half_of_the_classes_of_the_previous_image(count: int) -> None:
    method = ClassMix(confidence=0.9, weight=3.0)
    network, own = student_and_teacher(method)
    images = torch.rand(count, 3, 8, 10, generator=rng())
    batch = batch_of(images)
    added, logged = method.loss(own, network, batch, network(batch.images), 0.1)  # type: ignore[arg-type]

    labels = scores(network, images, 2).argmax(1)
    taken = class_masks(torch.from_numpy(labels), CLASSES, rng(4))[:, 0].numpy()
    pictures, mix = images.numpy(), images.numpy().copy()
    for n, y, x in np.ndindex(labels.shape):
        source, column = ((n - 1) % count, x) if count > 1 else (0, 9 - x)
        if taken[source, y, column]:
            mix[n, :, y, x] = pictures[source, :, y, column]
    assert 0 < taken.mean() < 1 and not np.array_equal(mix, pictures)
    assert np.array_equal(network.seen[-1].numpy(), mix)
    assert torch.equal(own.network.seen[-1], images)

    # The network is pixelwise, so mixed predictions are the predictions of mixed images.
    logits = scores(network, torch.from_numpy(mix))
    teacher = softmax(2 * logits)
    confident = (teacher.max(1) >= 0.9).mean()
    difference = cross_entropy(logits, teacher.argmax(1)).mean()
    assert 0 < confident < 1
    assert logged["confident"] == pytest.approx(confident)
    assert logged["loss.consistency"] == pytest.approx(difference, rel=1e-4)
    assert added.item() == pytest.approx(3 * confident * difference, rel=1e-4)


# FixMatch


def test_fixmatch_learns_confident_classes_on_the_strong_view() -> None:
    method = FixMatch(confidence=0.9, weight=2.0)
    network, own = student_and_teacher(method)
    images = torch.rand(3, 3, 6, 7, generator=rng())
    batch = batch_of(images)
    added, logged = method.loss(own, network, batch, network(batch.images), 0.1)  # type: ignore[arg-type]

    strong = strong_view(images, rng(4))
    assert torch.equal(network.seen[-1], strong)
    assert torch.equal(own.network.seen[-1], images)
    teacher = softmax(scores(network, images, 2))
    expected = masked(scores(network, strong), teacher, 0.9)
    confident = (teacher.max(1) >= 0.9).mean()
    assert 0 < confident < 1
    assert logged["confident"] == pytest.approx(confident)
    assert logged["loss.consistency"] == pytest.approx(expected, rel=1e-4)
    assert added.item() == pytest.approx(2 * expected, rel=1e-4)


@pytest.mark.parametrize("method", [FixMatch(confidence=1.0), UniMatch(confidence=1.0)], ids=repr)
def test_without_confident_pixels_loss_and_gradient_are_zero(method: Any) -> None:
    network = Pixelwise(scale=0.1)
    own = method.build(network, CLASSES)
    batch = batch_of(torch.rand(2, 3, 6, 6, generator=rng()))
    added, logged = method.loss(own, network, batch, network(batch.images), 0.1)
    added.backward()
    assert added.item() == 0 and logged["confident"] == 0
    assert network.layer.weight.grad is not None and not network.layer.weight.grad.any()


@pytest.mark.parametrize("method", [FixMatch(confidence=0.0), UniMatch(confidence=0.0)], ids=repr)
def test_strong_views_do_not_update_running_statistics(method: Any) -> None:
    network = TinyNetwork(CLASSES)
    own = method.build(network, CLASSES)
    batch = batch_of(torch.rand(2, 3, 8, 8, generator=rng()))
    logits = network(batch.images)
    before = {name: value.clone() for name, value in network.named_buffers()}
    added, _ = method.loss(own, network, batch, logits, 0.5)
    assert added.item() > 0
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


@pytest.mark.parametrize("method", [MeanTeacher(), FixMatch(confidence=0.0), UniMatch(confidence=0.0)], ids=repr)
def test_with_domain_adaptation_strong_views_update_running_statistics(method: Any) -> None:
    network = TinyNetwork(CLASSES)
    own = method.build(network, CLASSES)
    batch = replace(batch_of(torch.rand(2, 3, 8, 8, generator=rng())), shifted=True)
    logits = network(batch.images)
    before = {name: value.clone() for name, value in network.named_buffers() if "running" in name}
    method.loss(own, network, batch, logits, 0.5)
    assert any(not torch.equal(network.state_dict()[name], value) for name, value in before.items())


# UniMatch


def test_channel_dropout_zeroes_channels_and_doubles_the_others() -> None:
    features = [torch.rand(8, c, s, s + 1, generator=rng(c)) + 0.1 for c, s in ((40, 6), (60, 3))]
    generator = rng()
    dropped = [channel_dropout(feature, generator) for feature in features]
    for before, after in zip(features, dropped, strict=True):
        ratio = (after / before).flatten(2)
        assert torch.equal(ratio, ratio[..., :1].expand_as(ratio))
        kept = ratio[..., 0] > 0
        assert torch.equal(ratio[..., 0], 2.0 * kept)
        assert 0.4 < kept.float().mean() < 0.6
        assert len({tuple(row.tolist()) for row in kept}) == 8  # each image has its own


def test_unimatch_weights_its_three_streams() -> None:
    method = UniMatch(confidence=0.9, weight=3.0)
    network, own = student_and_teacher(method)
    images = torch.rand(3, 3, 8, 10, generator=rng())
    batch = batch_of(images)
    added, logged = method.loss(own, network, batch, network(batch.images), 0.1)  # type: ignore[arg-type]

    teacher = softmax(scores(network, images, 2))
    generator = rng(4)
    one, two = (channel_dropout(feature, generator) for feature in (images, 2 * images))
    features = masked(scores(network, (one + two) / 3), teacher, 0.9)
    views, seen = [], []
    for _ in range(2):
        box = boxes(3, 8, 10, generator)
        strong = strong_view(images, generator).numpy()
        inside = box.numpy()
        seen.append(np.where(inside, strong[[2, 0, 1]], strong))
        views.append(
            masked(scores(network, torch.from_numpy(seen[-1])), np.where(inside, teacher[[2, 0, 1]], teacher), 0.9)
        )
    assert torch.equal(network.seen[-3], images)
    assert all(np.array_equal(a.numpy(), b) for a, b in zip(network.seen[-2:], seen, strict=True))
    assert not np.array_equal(*seen)
    assert logged["confident"] == pytest.approx((teacher.max(1) >= 0.9).mean())
    assert logged["loss.features"] == pytest.approx(features, rel=1e-4)
    assert logged["loss.views"] == pytest.approx((views[0] + views[1]) / 2, rel=1e-4)
    assert added.item() == pytest.approx(3 * (features / 2 + views[0] / 4 + views[1] / 4), rel=1e-4)


# PseudoLabel


def test_pseudo_labels_start_after_the_warm_up() -> None:
    method, network = PseudoLabel(confidence=0.5, warmup=0.4), Pixelwise()
    batch = batch_of(torch.rand(2, 3, 5, 5, generator=rng()))
    logits = network(batch.images)
    for progress, passes in ((0.0, 0), (0.399, 0), (0.4, 1), (1.0, 2)):
        added, logged = method.loss(None, network, batch, logits, progress)  # type: ignore[arg-type]
        assert len(network.seen) == 1 + passes
        assert (added.item() > 0) == (passes > 0) == ("confident" in logged)


def test_pseudo_labels_are_the_networks_confident_classes() -> None:
    method, network = PseudoLabel(confidence=0.8, weight=2.0, warmup=0.0), Pixelwise()
    images = torch.rand(3, 3, 6, 7, generator=rng())
    batch = batch_of(images)
    images.requires_grad_()
    added, logged = method.loss(None, network, batch, network(batch.images), 0.0)  # type: ignore[arg-type]
    logits = scores(network, images.detach())
    sure = softmax(logits).max(1) >= 0.8
    expected = masked(logits, softmax(logits), 0.8)
    assert 0 < sure.mean() < 1
    assert logged["confident"] == pytest.approx(sure.mean())
    assert logged["loss.pseudo_label"] == pytest.approx(expected, rel=1e-4)
    assert added.item() == pytest.approx(2 * expected, rel=1e-4)
    added.backward()
    assert images.grad is not None
    assert np.array_equal(images.grad.abs().sum(1).numpy() > 0, sure)


# CPS


def cross(one: np.ndarray, other: np.ndarray) -> float:
    return cross_entropy(one, other.argmax(1)).mean() + cross_entropy(other, one.argmax(1)).mean()


def test_cps_supervises_both_networks_on_labelled_and_unlabelled_images() -> None:
    network = Pixelwise()
    method = CPS(weight=3.0, rampup=0.5)
    own = method.build(network, CLASSES)  # type: ignore[arg-type]
    assert isinstance(own, Twin)
    own.network.load_state_dict(Pixelwise(seed=6).state_dict())
    batch = batch_of(torch.rand(3, 3, 6, 7, generator=rng()))
    logits = network(batch.images)
    added, logged = method.loss(own, network, batch, logits, 0.25)  # type: ignore[arg-type]

    mine, its = [[scores(n, images) for images in (batch.images, batch.unlabelled)] for n in (network, own.network)]
    pixels = cross_entropy(its[0], batch.masks.numpy() % 255)[batch.masks.numpy() != 255]
    both = cross(mine[0], its[0]) + cross(mine[1], its[1])
    assert logged["loss.twin"] == pytest.approx(pixels.mean(), rel=1e-4)
    assert logged["loss.cross"] == pytest.approx(both, rel=1e-4)
    assert logged["agreement"] == pytest.approx((mine[1].argmax(1) == its[1].argmax(1)).mean())
    assert added.item() == pytest.approx(pixels.mean() + 3 * math.exp(-1.25) * both, rel=1e-4)


def test_the_cross_supervision_of_cps_is_symmetrical() -> None:
    one, other = Pixelwise(5), Pixelwise(6)
    batch = batch_of(torch.rand(3, 3, 6, 7, generator=rng()))
    method, found = CPS(rampup=0.0), []
    for network, twin in ((one, other), (other, one)):
        own = method.build(network, CLASSES)  # type: ignore[arg-type]
        own.network.load_state_dict(twin.state_dict())  # type: ignore[union-attr]
        logits = network(batch.images)
        network.zero_grad()
        added, logged = method.loss(own, network, batch, logits, 1.0)  # type: ignore[arg-type]
        added.backward()
        found.append((float(logged["loss.cross"]), network.layer.weight.grad.clone()))  # type: ignore[union-attr]
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)

    # By hand: the gradient of cross-entropy with fixed labels is (probability - one-hot) x input.
    for (_, gradient), network, twin in ((found[0], one, other), (found[1], other, one)):
        expected = np.zeros((CLASSES, 3))
        for images in (batch.images, batch.unlabelled):
            residual = softmax(scores(network, images))
            residual -= np.eye(CLASSES)[scores(twin, images).argmax(1)].transpose(0, 3, 1, 2)
            expected += np.einsum("nkhw,nchw->kc", residual, images.double().numpy() - 0.5) / residual[:, 0].size
        assert np.allclose(gradient[:, :, 0, 0].numpy(), CPS().weight * expected, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "switch"])
def test_the_twin_is_initialized_like_the_network(norm: str) -> None:
    stages = (Stage(Plain(), 16), Stage(Residual(squeeze_excite=True), 24, depth=2))
    torch.manual_seed(0)
    network = build_network(Recipe(encoder=Encoder(stages=stages), decoder=UNet(up="transposed"), norm=norm), CLASSES)
    network.heads["Pretext"] = nn.Linear(2, 2)
    twin = Twin(network).network
    torch.manual_seed(1)
    fresh = build_network(Recipe(encoder=Encoder(stages=stages), decoder=UNet(up="transposed"), norm=norm), CLASSES)
    assert not len(twin.heads)
    other, expected = dict(twin.named_parameters()), dict(fresh.named_parameters())
    assert other.keys() == expected.keys()
    zeroed = 0
    for name, mine in network.named_parameters():
        if name.startswith("heads"):
            continue
        if mine.ndim > 1:
            assert not torch.equal(other[name], mine)
            if mine.numel() > 200:
                assert other[name].std().item() == pytest.approx(expected[name].std().item(), rel=0.25)
        elif expected[name].unique().numel() == 1:  # constants, including zero scales
            assert torch.equal(other[name], expected[name])
            zeroed += int(name.endswith("weight") and not mine.any())
    assert zeroed >= 1


def test_the_twin_keeps_scales_that_were_set_by_hand() -> None:
    network = TinyNetwork(CLASSES)
    with torch.no_grad():
        network.sides[2].weight.mul_(0.01)  # type: ignore[union-attr,operator]
        network.sides[1].bias.zero_()  # type: ignore[union-attr,operator]
    twin = Twin(network).network  # type: ignore[arg-type]
    mine, other = network.sides[2].weight, twin.sides[2].weight
    assert not torch.equal(mine, other)  # type: ignore[arg-type]
    assert other.std().item() == pytest.approx(mine.std().item(), rel=1e-4)  # type: ignore[operator,union-attr]
    assert not twin.sides[1].bias.any()


def test_the_twin_has_its_own_running_statistics_and_stays_in_training_mode() -> None:
    network = TinyNetwork(CLASSES)
    method = CPS()
    own = method.build(network, CLASSES)  # type: ignore[arg-type]
    assert isinstance(own, Twin)
    alone = TinyNetwork(CLASSES)
    alone.load_state_dict(own.network.state_dict(), strict=False)
    own.eval()
    assert all(module.training for module in own.modules())
    batch = batch_of(torch.rand(3, 3, 8, 8, generator=rng()))
    method.loss(own, network, batch, network(batch.images), 0.5)  # type: ignore[arg-type]
    alone.train()
    alone(batch.images)
    alone(batch.unlabelled)  # type: ignore[arg-type]
    theirs = dict(alone.named_buffers())
    assert all(torch.equal(value, theirs[name]) for name, value in own.network.named_buffers())
    assert method.predictor(own, network) is network  # type: ignore[arg-type,comparison-overlap]


def test_the_twin_learns_the_labels_too() -> None:
    torch.manual_seed(0)
    network = TinyNetwork(CLASSES)
    method = CPS()
    own = method.build(network, CLASSES)  # type: ignore[arg-type]
    assert isinstance(own, Twin)
    optimizer = torch.optim.Adam([*network.parameters(), *own.parameters()], lr=1e-2)
    images = torch.rand(2, 3, 8, 8, generator=rng())
    batch = Batch(images, (images[:, 0] > 0.5).long(), torch.rand(2, 3, 8, 8, generator=rng(1)), rng(2))
    losses = []
    for step in range(40):
        added, logged = method.loss(own, network, batch, network(batch.images), step / 40)  # type: ignore[arg-type]
        optimizer.zero_grad()
        added.backward()
        optimizer.step()
        losses.append(logged["loss.twin"])
    assert losses[-1] < 0.5 * losses[0]


# Shared


def test_a_mix_takes_the_previous_image_inside_the_mask() -> None:
    whole = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 2, 2, 2)
    mask = torch.zeros(3, 1, 2, 2, dtype=torch.bool)
    mask[:, :, 0] = True
    assert mixed(whole, mask)[:, 0].tolist() == [[[2, 2], [0, 0]], [[0, 0], [1, 1]], [[1, 1], [2, 2]]]
    lone = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert mixed(lone, mask[:1]).tolist() == [[[[2, 1], [3, 4]]]]


@pytest.mark.parametrize(
    "method",
    [
        ClassMix(confidence=2),
        FixMatch(confidence=-0.1),
        FixMatch(decay=2),
        UniMatch(weight=-1),
        PseudoLabel(warmup=1.5),
        PseudoLabel(confidence=1.1),
        CPS(weight=-1),
        CPS(rampup=2),
    ],
    ids=repr,
)
def test_an_invalid_setting_is_refused(method: Any) -> None:
    with pytest.raises(SpaceError, match=r"^method\.\w+ is .*: use a number .*$"):
        method.build(TinyNetwork(), CLASSES)


def test_the_twin_learns_labels_with_the_recipes_loss() -> None:
    images = torch.rand(3, 3, 8, 10, generator=rng(1))
    method = CPS(weight=0)
    network = Pixelwise()
    own = method.build(network, CLASSES)
    batch = batch_of(images)
    batch = replace(
        batch, criterion=lambda logits, labels: 7.0 * (labels == batch.masks).float().mean() + 0 * logits.sum()
    )
    added, _ = method.unlabelled_loss(own, network, images, batch, network(batch.images), 1.0)
    assert added.item() == pytest.approx(7.0)
