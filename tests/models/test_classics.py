"""Classic networks: published parameter counts and architectures."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from nas.models import SegNet, build_network, deeplabv3plus, linknet_resnet18, segnet_vgg16, unet


def on_meta(classic, classes: int = 2) -> nn.Module:
    with torch.device("meta"):
        return build_network(classic, classes)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("classic", "millions", "digits"),
    [(unet(), 31.04, 2), (segnet_vgg16(), 29.4, 1)],
    ids=["unet", "segnet"],
)
def test_published_parameter_counts(classic, millions: float, digits: int) -> None:
    assert round(parameters(on_meta(classic)) / 1e6, digits) == millions


def test_linknet_differs_from_the_paper_only_in_the_stem() -> None:
    assert parameters(on_meta(linknet_resnet18())) == pytest.approx(11.5e6, rel=0.01)


def test_unet_count_written_out() -> None:
    widths = [3, 64, 128, 256, 512, 1024]

    def double(a: int, b: int) -> int:
        return 9 * a * b + 9 * b * b + 4 * b

    down = sum(double(a, b) for a, b in pairwise(widths))
    up = sum(4 * b * a + a + double(b, a) for a, b in pairwise(widths[1:]))
    assert parameters(on_meta(unet())) == down + up + 64 * 2 + 2


def test_vgg16_encoder_is_the_thirteen_convolutions() -> None:
    encoder = on_meta(segnet_vgg16()).encoder
    convs = sum(m.weight.numel() for m in encoder.modules() if isinstance(m, nn.Conv2d))
    assert convs == 14_714_688 - 4_224  # torchvision's vgg16().features, less its biases
    assert encoder.depths == [2, 2, 3, 3, 3]


def test_resnet50_differs_from_torchvision_only_in_the_stem() -> None:
    encoder = on_meta(deeplabv3plus()).encoder
    published = 25_557_032 - (2048 * 1000 + 1000)  # resnet50 without its classifier
    their_stem = 49 * 3 * 64 + 2 * 64
    assert parameters(encoder.stages) == published - their_stem
    assert encoder.reductions == [4, 8, 16, 16]
    assert on_meta(deeplabv3plus(output_stride=8)).encoder.reductions == [4, 8, 8, 8]


def test_segnet_mirrors_its_encoder() -> None:
    net = on_meta(segnet_vgg16())
    convs = [m for m in net.decoder.modules() if isinstance(m, nn.Conv2d)]
    widths = [(m.in_channels, m.out_channels) for m in convs]
    encoder = [(m.in_channels, m.out_channels) for m in net.encoder.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [(b, a) for a, b in reversed(encoder)][:-1]  # the classifier mirrors the first
    assert isinstance(segnet_vgg16().decoder, SegNet)


def test_small_unet_learns_a_mask() -> None:
    torch.manual_seed(0)
    net = build_network(unet(width=8, levels=3), 2)
    x = torch.rand(4, 3, 16, 16)
    y = (x[:, 0] > 0.5).long()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
