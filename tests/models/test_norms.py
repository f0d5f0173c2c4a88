"""Norms against their formulas, at shapes and values where naive implementations fail."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from nas.errors import UserError
from nas.models import NORMS, Norms, SwitchNorm2d, make_norm, running_statistics_frozen
from nas.models.norms import norm_makers

EPS = 1e-5


def standardised(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    mean = x.mean(dims, keepdim=True)
    var = ((x - mean) ** 2).mean(dims, keepdim=True)
    return (x - mean) / (var + EPS).sqrt()


def by_hand(kind: str, x: Tensor) -> Tensor:
    """Output in training mode of a norm with scale 1 and offset 0, from its definition."""
    if kind == "batch":
        return standardised(x, (0, 2, 3))
    if kind == "instance":
        return standardised(x, (2, 3))
    if kind == "layer":
        return standardised(x, (1, 2, 3))
    if kind == "group":
        n, c, h, w = x.shape
        return standardised(x.view(n, 6, c // 6, h, w), (2, 3, 4)).view(x.shape)
    return naive_switch(x, torch.full((3,), 1 / 3), torch.full((3,), 1 / 3))


def naive_switch(x: Tensor, of_mean: Tensor, of_var: Tensor, running: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Switchable normalization as in Luo et al.: three sets of statistics computed from the pixels."""
    means, variances = [], []
    for dims in ((2, 3), (1, 2, 3), (0, 2, 3)):
        means.append(x.mean(dims, keepdim=True))
        variances.append(x.var(dims, correction=0, keepdim=True))
    if running is not None:
        means[2], variances[2] = (r.view(1, -1, 1, 1) for r in running)
    mean = sum(w * m for w, m in zip(of_mean, means, strict=True))
    var = sum(w * v for w, v in zip(of_var, variances, strict=True))
    return (x - mean) / (var + EPS).sqrt()


def randomized(module: nn.Module) -> nn.Module:
    """Set all parameters to random values, so that each one affects the output."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(torch.randn_like(p))
    return module


@pytest.mark.parametrize("kind", NORMS)
def test_training_output_is_the_formula(kind: str) -> None:
    x = torch.randn(3, 12, 5, 7) * 2 + 1  # 12 channels: the largest divisor up to 8 is 6
    norm = make_norm(kind, 12)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(12))
        norm.bias.copy_(torch.randn(12))
    expected = by_hand(kind, x) * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(norm(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("channels", "groups"), [(1, 1), (5, 1), (6, 3), (8, 4), (11, 1), (12, 6), (16, 8), (18, 6), (64, 8)]
)
def test_group_norm_has_up_to_eight_groups_of_two_or_more_channels(channels: int, groups: int) -> None:
    assert make_norm("group", channels).num_groups == groups


def test_batch_norm_is_torchs() -> None:
    ours, theirs = make_norm("batch", 4), nn.BatchNorm2d(4)
    for _ in range(3):
        x = torch.randn(2, 4, 3, 3) + 5
        torch.testing.assert_close(ours(x), theirs(x))
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_switch_with_other_weights_in_training_and_evaluation() -> None:
    norm = randomized(SwitchNorm2d(6))
    of_mean, of_var = norm.mean_logits.softmax(0), norm.var_logits.softmax(0)
    scale, offset = norm.weight.view(1, -1, 1, 1), norm.bias.view(1, -1, 1, 1)
    running_mean, running_var = torch.zeros(6), torch.ones(6)
    for _ in range(3):
        x = torch.randn(4, 6, 5, 3) * torch.rand(1, 6, 1, 1) + torch.randn(1, 6, 1, 1)
        torch.testing.assert_close(norm(x), naive_switch(x, of_mean, of_var) * scale + offset, rtol=1e-4, atol=1e-4)
        running_mean = 0.9 * running_mean + 0.1 * x.mean((0, 2, 3))
        running_var = 0.9 * running_var + 0.1 * x.var((0, 2, 3), correction=0)
    torch.testing.assert_close(norm.running_mean, running_mean)
    torch.testing.assert_close(norm.running_var, running_var)
    norm.eval()
    x = torch.randn(2, 6, 4, 4)
    expected = naive_switch(x, of_mean, of_var, (running_mean, running_var)) * scale + offset
    torch.testing.assert_close(norm(x), expected, rtol=1e-4, atol=1e-4)


def test_switch_gradients_are_those_of_the_naive_form() -> None:
    norm = randomized(SwitchNorm2d(4))
    x = torch.randn(2, 4, 3, 5, requires_grad=True)
    g = torch.randn(2, 4, 3, 5)
    wanted = [x, *norm.parameters()]
    ours = torch.autograd.grad(norm(x), wanted, g)
    mixed = naive_switch(x, norm.mean_logits.softmax(0), norm.var_logits.softmax(0))
    y = mixed * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
    for ours_i, naive_i in zip(ours, torch.autograd.grad(y, wanted, g), strict=True):
        torch.testing.assert_close(ours_i, naive_i, rtol=1e-3, atol=1e-4)


def test_switch_gradients_by_finite_differences() -> None:
    norm = randomized(SwitchNorm2d(3)).double()
    x = torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, (x,))


def test_switch_batch_part_equals_the_instance_part_at_one_image() -> None:
    x = torch.randn(1, 5, 4, 6)
    outputs = []
    for chosen in (0, 2):
        norm = SwitchNorm2d(5)
        with torch.no_grad():
            for logits in (norm.mean_logits, norm.var_logits):
                logits.fill_(-100.0)[chosen] = 100.0
        outputs.append(norm(x))
    assert torch.equal(*outputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_switch_keeps_only_its_input_for_backward(dtype: torch.dtype) -> None:
    x = torch.randn(4, 8, 32, 32).to(dtype).requires_grad_()
    storages = {}

    def pack(t: Tensor) -> Tensor:
        storages[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = SwitchNorm2d(8)(x)
    assert y.dtype == dtype
    assert x.untyped_storage().nbytes() <= sum(storages.values()) < 1.1 * x.untyped_storage().nbytes()


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (2, 4, 1, 1), (1, 1, 1, 1), (2, 4, 3, 3), (1, 4, 1, 7)])
@pytest.mark.parametrize("training", [True, False])
def test_hard_inputs_stay_finite(kind: str, shape: tuple[int, ...], training: bool) -> None:
    for x in (torch.zeros(shape), torch.full(shape, 300.0), 300 + 0.01 * torch.randn(shape)):
        norm = make_norm(kind, shape[1]).train(training)
        x.requires_grad_()
        y = norm(x)
        (y * torch.randn(shape)).sum().backward()
        assert y.shape == x.shape
        for t in (y, x.grad, *(p.grad for p in norm.parameters()), *norm.buffers()):
            assert torch.isfinite(t).all()


@pytest.mark.parametrize("kind", NORMS)
def test_small_spread_beside_a_large_mean_is_still_standardised(kind: str) -> None:
    x = 300 + 0.01 * torch.randn(4, 12, 16, 16)
    torch.testing.assert_close(make_norm(kind, 12)(x).double(), by_hand(kind, x.double()), rtol=0, atol=0.02)


@pytest.mark.parametrize("kind", NORMS)
def test_autocast_takes_statistics_in_float32(kind: str) -> None:
    x = (20 + torch.randn(2, 6, 32, 32)).bfloat16()
    norm = make_norm(kind, 6)
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(x.requires_grad_())
    y.float().square().sum().backward()
    assert torch.isfinite(x.grad).all()
    reference = make_norm(kind, 6)(x.detach().float())
    torch.testing.assert_close(y.float(), reference, rtol=0.02, atol=0.02)
    for name, buffer in norm.named_buffers():
        if name.startswith("running"):
            assert buffer.dtype == torch.float32


@pytest.mark.parametrize("kind", ["batch", "switch"])
def test_frozen_running_statistics(kind: str) -> None:
    net = nn.Sequential(make_norm(kind, 3), nn.Sequential(make_norm(kind, 3)))
    twin = copy.deepcopy(net)
    x = torch.randn(2, 3, 4, 4) + 4
    before = copy.deepcopy(net.state_dict())
    with running_statistics_frozen(net):
        frozen = net(x)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    torch.testing.assert_close(frozen, twin(x))
    net(x)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[name])
    assert not torch.equal(net[0].running_mean, before["0.running_mean"])


def test_frozen_running_statistics_are_tracked_again_after_an_error() -> None:
    norm = make_norm("batch", 2)
    with pytest.raises(ZeroDivisionError), running_statistics_frozen(norm):
        raise ZeroDivisionError
    assert norm.track_running_stats


def test_norm_makers_of_one_name_and_of_two() -> None:
    encoder, decoder = norm_makers(Norms(encoder="switch", decoder="batch"))
    assert isinstance(encoder(4), SwitchNorm2d)
    assert isinstance(decoder(4), nn.BatchNorm2d)
    encoder, decoder = norm_makers("switch")
    assert isinstance(encoder(4), SwitchNorm2d)
    assert isinstance(decoder(4), SwitchNorm2d)


def test_unknown_norm_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="'switch'"):
        make_norm("bach", 4)
    with pytest.raises(UserError, match=r"Norms\.decoder"):
        norm_makers(Norms(decoder="none"))
