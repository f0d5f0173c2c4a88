"""Blocks and layers: shapes, parameter counts by formula, and the effect of each field."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from nas.errors import UserError
from nas.models import ACTIVATIONS, UPSAMPLING, Bottleneck, Inverted, Plain, Residual, Separable, make_norm
from nas.models.layers import Conv2d, SqueezeExcite, upsample

BLOCKS = (Plain(), Residual(), Bottleneck(), Inverted(), Separable())
batch = partial(make_norm, "batch")


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: type(b).__name__)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "excite"), [(3, 1, 1, False), (5, 2, 1, True), (3, 1, 4, True)]
)
def test_shape_and_gradients(block, activation: str, kernel: int, stride: int, dilation: int, excite: bool) -> None:
    block = replace(block, kernel=kernel, activation=activation, squeeze_excite=excite, dilation=dilation)
    for cin, cout in ((4, 8), (8, 8)):
        net = block.build(cin, cout, batch, stride)
        x = torch.randn(2, cin, 9, 6, requires_grad=True)
        y = net(x)
        assert y.shape == (2, cout, -(-9 // stride), -(-6 // stride))
        y.square().mean().backward()
        assert all(torch.isfinite(t.grad).all() for t in (x, *net.parameters()))
        assert any(isinstance(m, SqueezeExcite) for m in net.modules()) == excite


def test_parameter_counts_by_formula() -> None:
    a, b = 6, 16
    norm = 2  # scale and offset per channel
    assert parameters(Plain(convs=3).build(a, b, batch)) == 9 * a * b + 2 * 9 * b * b + 3 * norm * b
    shortcut = a * b + norm * b
    assert parameters(Residual().build(a, b, batch)) == 9 * a * b + 9 * b * b + 2 * norm * b + shortcut
    assert parameters(Residual().build(b, b, batch)) == 18 * b * b + 2 * norm * b
    n = b // 4
    assert parameters(Bottleneck().build(a, b, batch)) == a * n + 9 * n * n + n * b + norm * (2 * n + b) + shortcut
    w = 4 * a
    assert parameters(Inverted().build(a, b, batch)) == a * w + 9 * w + w * b + norm * (2 * w + b)
    assert parameters(Inverted(expand=1).build(a, b, batch)) == 9 * a + a * b + norm * (a + b)
    pair = 9 * a + norm * a + a * b + norm * b
    assert parameters(Separable(convs=1).build(a, b, batch)) == pair
    assert parameters(Separable().build(a, b, batch)) == pair + 9 * b + b * b + 2 * norm * b


@pytest.mark.parametrize(("block", "layers"), list(zip(BLOCKS, (2, 2, 1, 1, 2), strict=True)))
def test_layers_counts_the_spatial_convolutions(block, layers: int) -> None:
    convs = [m for m in block.build(4, 8, batch).modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
    assert block.layers == layers == len(convs)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: type(b).__name__)
def test_encoder_dilation_multiplies_the_blocks_own(block) -> None:
    net = replace(block, dilation=2).build(4, 8, batch, dilation=4)
    spatial = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
    assert {m.dilation for m in spatial} == {(8, 8)}


@pytest.mark.parametrize("block", [Residual(), Bottleneck(), Inverted()], ids=lambda b: type(b).__name__)
def test_residual_blocks_start_as_the_identity(block) -> None:
    x = torch.rand(2, 8, 5, 5)
    torch.testing.assert_close(block.build(8, 8, batch)(x), x)


def test_convolutions_before_a_norm_have_no_bias() -> None:
    for block in BLOCKS:
        assert all(m.bias is None for m in block.build(4, 8, batch).modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("groups", [1, 32])
def test_convolutions_start_as_he_et_al(groups: int) -> None:
    conv = Conv2d(64, 128, kernel=3, groups=groups)
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 128 / groups)) ** 0.5, rel=0.1)


def test_squeeze_excite_by_formula() -> None:
    gate = SqueezeExcite(4)
    x = torch.randn(2, 4, 3, 5)
    hidden = (x.mean((2, 3)) @ gate.squeeze.weight[:, :, 0, 0].T).relu()
    expected = x * torch.sigmoid(hidden @ gate.excite.weight[:, :, 0, 0].T)[:, :, None, None]
    torch.testing.assert_close(gate(x), expected)


@pytest.mark.parametrize("kind", UPSAMPLING)
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_upsampling_shapes(kind: str, factor: int) -> None:
    assert upsample(kind, 6, 4, factor)(torch.randn(2, 6, 3, 5)).shape == (2, 4, 3 * factor, 5 * factor)


def test_bilinear_upsampling_may_convolve_first() -> None:
    module = upsample("bilinear", 3, 5, 2)
    x = torch.randn(1, 3, 4, 6)
    large = nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(module(x), module[0](large))


def test_the_canonical_block_drops_a_dilation_without_effect() -> None:
    assert Plain(kernel=1, dilation=4).canonical() == Plain(kernel=1)
    assert Plain(dilation=4).canonical() == Plain(dilation=4)


@pytest.mark.parametrize(
    ("block", "field"),
    [
        (Plain(kernel=4), r"Plain\.kernel"),
        (Residual(activation="swish"), "activation"),
        (Plain(convs=0), r"Plain\.convs"),
        (Bottleneck(ratio=0), r"Bottleneck\.ratio"),
        (Inverted(expand=0), r"Inverted\.expand"),
        (Separable(dilation=0), r"Separable\.dilation"),
    ],
)
def test_errors_name_the_field(block, field: str) -> None:
    with pytest.raises(UserError, match=field):
        block.build(4, 4, batch)
