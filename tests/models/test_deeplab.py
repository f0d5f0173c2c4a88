"""DeepLabv2 on ResNet-101: published parameter counts, and the summed pyramid by formula."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nas.errors import UserError
from nas.models import Bottleneck, DeepLabv2, Encoder, Stage, UNet, build_network, deeplabv2_resnet101
from nas.space import Recipe, candidate_hash, from_json, to_json

RESNET101 = 44_549_160  # torchvision's resnet101, and of it the classifier of ImageNet:
ITS_CLASSIFIER = 2048 * 1000 + 1000


def small(**encoder) -> Recipe:
    stages = tuple(Stage(Bottleneck(), width, down="stride") for width in (8, 16, 16, 24))
    return Recipe(Encoder(stages, stem_stride=4, stem="resnet", **encoder), DeepLabv2())


@pytest.fixture(scope="module")
def deeplab() -> nn.Module:
    with torch.device("meta"):
        return build_network(deeplabv2_resnet101(), 19)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_encoder_is_resnet101(deeplab) -> None:
    assert parameters(deeplab.encoder) == RESNET101 - ITS_CLASSIFIER
    assert round(parameters(deeplab.encoder) / 1e6, 2) == 42.50
    convs = [m for m in deeplab.encoder.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 100 + 4  # the 101st layer is the classifier; four shortcuts have a convolution
    assert deeplab.encoder.reductions == [4, 8, 8, 8]
    assert [stage[-1].body[1][0].dilation[0] for stage in deeplab.encoder.stages] == [1, 1, 2, 4]


def test_the_network_has_44_million_parameters(deeplab) -> None:
    assert parameters(deeplab) == pytest.approx(44e6, rel=0.02)
    assert parameters(deeplab.decoder) == 0
    assert parameters(deeplab.classifier) == 4 * (9 * 2048 * 19 + 19)


def test_resnet_stem_against_functions() -> None:
    net = build_network(small(), 3).encoder.stem.eval()
    x = torch.rand(2, 3, 32, 48)
    wide = F.relu(net[1](F.conv2d(x, net[0].weight, stride=2, padding=3)))
    torch.testing.assert_close(net(x), F.max_pool2d(wide, 3, 2, 1))
    assert net(x).shape == (2, 8, 8, 12)
    halved = Encoder((Stage(width=8),), stem_stride=2, stem="resnet")
    assert build_network(Recipe(halved, UNet()), 2).encoder(x)[0].shape == (2, 8, 16, 24)


def test_logits_are_the_sum_of_dilated_convolutions() -> None:
    torch.manual_seed(0)
    net = build_network(Recipe(small(output_stride=8).encoder, DeepLabv2(rates=(1, 3))), 5).eval()
    assert isinstance(net.classifier.branches, nn.ModuleList)
    x = torch.rand(1, 3, 40, 56)
    feature = net.features(x)[-1]
    assert feature.shape[2:] == (5, 7)
    wanted = sum(
        F.conv2d(feature, branch.weight, branch.bias, padding=rate, dilation=rate)
        for branch, rate in zip(net.classifier.branches, (1, 3), strict=True)
    )
    whole = F.interpolate(wanted, scale_factor=8, mode="bilinear", align_corners=False)
    torch.testing.assert_close(net(x), whole)
    assert all(name.startswith(("encoder.", "classifier.")) for name, _ in net.named_parameters())
    assert 0.005 < float(net.classifier.branches[0].weight.detach().std()) < 0.015


@pytest.mark.parametrize("size", [(1, 1), (33, 47)])
def test_any_size_and_a_gradient_everywhere(size: tuple[int, int]) -> None:
    net = build_network(small(output_stride=8), 3).eval()
    logits = net(torch.rand(2, 3, *size))
    assert logits.shape == (2, 3, *size)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_recipes_without_the_field_stem_can_be_read() -> None:
    encoder = Encoder((Stage(width=4), Stage(width=8)), stem_stride=2)
    stored = json.loads(to_json(Recipe(encoder, UNet())))
    del stored["recipe"]["encoder"]["stem"]
    assert from_json(json.dumps(stored)).encoder == encoder


def test_the_kind_of_an_absent_stem_has_no_effect() -> None:
    stages = (Stage(width=4), Stage(width=8))
    one, other = (Recipe(Encoder(stages, stem=stem), UNet()) for stem in ("conv", "resnet"))
    assert candidate_hash(one) == candidate_hash(other)
    one, other = (Recipe(Encoder(stages, stem_stride=2, stem=stem), UNet()) for stem in ("conv", "resnet"))
    assert candidate_hash(one) != candidate_hash(other)


@pytest.mark.parametrize(
    ("recipe", "field"),
    [
        (Recipe(small().encoder, DeepLabv2(rates=())), r"DeepLabv2\.rates"),
        (Recipe(small().encoder, DeepLabv2(rates=(6, 0))), r"DeepLabv2\.rates"),
        (Recipe(Encoder((Stage(),), stem="vgg"), UNet()), r"Encoder\.stem"),
    ],
)
def test_errors_name_the_field(recipe: Recipe, field: str) -> None:
    with pytest.raises(UserError, match=field):
        build_network(recipe, 2)
