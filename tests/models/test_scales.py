"""Multi-scale inputs, held to the plain network on resized images; what they leave unchanged; training and costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.errors import UserError
from nas.models import DeepLabv2, Encoder, Network, Plain, SegNet, Stage, UNet, build_network, fused
from nas.space import Choice, Component, Recipe, candidate_hash, close, describe, from_json, parameters, to_json
from nas.space.domains import Domain
from nas.tasks import CrossEntropy, Supervised
from nas.training import SGD, Augment, Constant, Plan, cost, train

PAPER = (0.5, 0.75, 1.0)

PLAIN = Recipe(
    encoder=Encoder((Stage(Plain(convs=1), 4), Stage(Plain(convs=1), 6), Stage(Plain(convs=1), 8))),
    decoder=UNet(block=Plain(convs=1)),
    loss=CrossEntropy(),
    method=Supervised(),
    optimizer=SGD(lr=1e-3),
    schedule=Constant(),
    augment=Augment(),
    labelled_batch=2,
    unlabelled_batch=0,
)


def networks(scales: Sequence[float], decoder: Any = PLAIN.decoder) -> tuple[Network, Network]:
    """The network with several scales, and the plain one with its weights; after some steps of training."""
    recipe = replace(PLAIN, decoder=decoder)
    torch.manual_seed(0)
    ours, plain = build_network(replace(recipe, scales=tuple(scales)), 3), build_network(recipe, 3)
    for _ in range(3):
        ours(torch.rand(2, 3, 32, 48))
    plain.load_state_dict(ours.state_dict())
    return ours.eval(), plain.eval()


@pytest.mark.parametrize("decoder", [UNet(), SegNet(), DeepLabv2(rates=(1, 3))], ids=repr)
@pytest.mark.parametrize("scales", [PAPER, (1, 0.3), (0.5, 1.0, 1.5)], ids=str)
@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1)])
@torch.no_grad()
def test_logits_are_the_maximum_over_resized_images(size: tuple[int, int], scales: Any, decoder: Any) -> None:
    ours, plain = networks(scales, decoder)
    images = torch.rand(2, 3, *size)
    maps = []
    for scale in scales:
        small = [int(np.ceil(round(side * scale, 6))) for side in size]
        resized = F.interpolate(images, size=small, mode="bilinear", align_corners=False)
        maps.append(F.interpolate(plain(resized), size=size, mode="bilinear", align_corners=False))
    logits = ours(images)
    torch.testing.assert_close(logits, torch.stack(maps).max(0).values)
    if size != (1, 1):
        assert not torch.equal(logits, plain(images))


@torch.no_grad()
def test_a_single_scale_changes_nothing() -> None:
    ours, plain = networks((1.0,))
    images = torch.rand(2, 3, 33, 47)
    assert torch.equal(ours(images), plain(images))
    assert ours.multiple == plain.multiple == 4


@torch.no_grad()
def test_features_are_those_of_the_full_size() -> None:
    ours, plain = networks(PAPER)
    images = torch.rand(2, 3, 33, 47)
    assert all(torch.equal(a, b) for a, b in zip(ours.features(images), plain.features(images), strict=True))
    assert ours.multiple == 4 * plain.multiple  # 3/4 of it must be a multiple of the stride


def test_each_position_sends_its_gradient_to_the_largest_scale() -> None:
    ours, _ = networks(PAPER)
    scores = ours.scores(torch.rand(2, 3, 32, 48))
    for score in scores:
        score.retain_grad()
    logits = fused(scores)
    logits.sum().backward()
    gradients = [score.grad for score in scores]
    for score, gradient in zip(scores, gradients, strict=True):
        assert gradient is not None and gradient.count_nonzero() > 0.05 * gradient.numel()
        assert not gradient[score < logits].any()
    torch.testing.assert_close(sum(gradients), torch.ones_like(logits))
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in ours.parameters())


def test_costs_are_the_sum_of_the_scales() -> None:
    small = tuple(cost(PLAIN, size, 3) for size in ((32, 64), (48, 96), (64, 128)))
    whole = cost(replace(PLAIN, scales=PAPER), (64, 128), 3)
    assert whole.params == small[0].params
    assert whole.macs == sum(one.macs for one in small)
    assert whole.memory_mb > small[2].memory_mb


def test_recipes_without_several_scales_stay_as_they_were() -> None:
    """In text, in JSON and in their hash, which is taken over the fields of the JSON."""
    several = replace(PLAIN, scales=PAPER)
    assert "scales" not in to_json(PLAIN) and "scales" not in describe(PLAIN)
    assert replace(PLAIN, scales=(1,)) == PLAIN == from_json(to_json(PLAIN))
    assert json.loads(to_json(several))["recipe"]["scales"] == list(PAPER)
    assert "scales = (0.5, 0.75, 1.0)" in describe(several)
    assert from_json(to_json(several)) == several
    hashes = [candidate_hash(replace(PLAIN, scales=scales)) for scales in (PAPER, (1, 0.75, 0.5), (1.0,), (0.5, 1.0))]
    assert hashes[0] == hashes[1] and hashes[2] == candidate_hash(PLAIN) and len(set(hashes)) == 3


def test_a_search_may_choose_them() -> None:
    space = replace(PLAIN, scales=Choice((1.0,), PAPER))  # type: ignore[arg-type]
    (parameter,) = parameters(space)
    assert parameter.path == "scales" and isinstance(parameter.domain, Domain)
    found = [close(space, lambda path, domain, i=i: domain.labels[i]) for i in range(2)]
    assert found == [PLAIN, replace(PLAIN, scales=PAPER)]


@dataclass(frozen=True)
class Watched(Component):
    """Cross-entropy that keeps its logits and values."""

    def build(self, class_pixels: Sequence[int]) -> nn.Module:
        return _Watched()


class _Watched(nn.Module):
    seen: list[tuple[Tensor, float]] = []  # noqa: RUF012 - of the one training in the test

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        loss = F.cross_entropy(logits.float(), masks, ignore_index=255)
        self.seen.append((logits.detach().float(), loss.item()))
        return loss


def test_the_loss_is_summed_over_the_maximum_and_each_scale() -> None:
    """As in the training that DeepLabv2's authors released."""
    rng = np.random.default_rng(0)

    def split(count: int) -> Any:
        images = rng.integers(0, 255, (count, 16, 24, 3)).astype(np.uint8)
        return SimpleNamespace(images=images, masks=rng.integers(0, 3, (count, 16, 24)).astype(np.uint8))

    parts = {name: split(2) for name in ("labelled", "unlabelled", "validation", "test")}
    data: Any = SimpleNamespace(classes=("a", "b", "c"), shifted=False, **parts)
    for scales, calls in ((PAPER, 4), ((1.0,), 1)):
        _Watched.seen.clear()
        trained = train(replace(PLAIN, loss=Watched(), scales=scales), data, Plan(1, (1,)))
        (together, *each), losses = zip(*_Watched.seen, strict=True)
        assert len(losses) == calls
        assert not each or torch.equal(together, torch.stack(each).amax(0))
        assert trained.logs["loss.segmentation"] == pytest.approx(sum(losses), rel=1e-6)


@pytest.mark.parametrize(
    "scales",
    [(), (0.5, 0.75), (0.0, 1.0), (1.0, 4.0), (1.0, 1), (1.0, float("nan")), 0.5, ("1",), (1.0, True)],
    ids=str,
)
def test_unusable_scales_are_named(scales: Any) -> None:
    with pytest.raises(
        UserError, match=r"^scales is .*: give a tuple of different numbers from 0.1 to 2, one of them 1$"
    ):
        build_network(replace(PLAIN, scales=scales), 3)
