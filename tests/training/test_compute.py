"""Memory layout and precision change the speed of a network, not its predictions."""

from __future__ import annotations

import pytest
import torch

from nas import ASPP, Encoder, Norms, Recipe, Separable, Stage, UNet
from nas.models import NORMS, build_network
from nas.training.compute import autocast, depthwise_in_float32, memory_layout, predicted_classes

CPU = torch.device("cpu")


def network(norm: str | Norms, decoder: object = None) -> torch.nn.Module:
    torch.manual_seed(0)
    stages = tuple(Stage(width=width) for width in (8, 16, 16))
    return build_network(Recipe(encoder=Encoder(stages=stages), decoder=decoder or UNet(), norm=norm), 5)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("decoder", [UNet(), ASPP(width=8)])
def test_the_layout_only_changes_rounding(norm: str, decoder: object) -> None:
    images = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    planar = network(norm, decoder)
    last = network(norm, decoder).to(memory_format=torch.channels_last)
    outputs = []
    for net, pixels in ((planar, images), (last, images.contiguous(memory_format=torch.channels_last))):
        logits = net(pixels)
        logits.square().mean().backward()
        outputs.append([logits.detach(), *(p.grad for p in net.parameters() if p.grad is not None)])
    assert len(outputs[0]) == len(outputs[1])
    for one, other in zip(*outputs, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)


LAST = ["batch", "layer", "switch", Norms("layer", "batch")]
PLANAR = ["group", "instance", Norms("batch", "group"), Norms("instance", "batch")]


@pytest.mark.parametrize("norm, planar", [*((n, False) for n in LAST), *((n, True) for n in PLANAR)])
def test_layout_of_each_norm_and_device(norm: str | Norms, planar: bool) -> None:
    wanted = torch.contiguous_format if planar else torch.channels_last
    assert memory_layout(network(norm), CPU) == wanted
    assert memory_layout(network(norm), torch.device("cuda")) == torch.channels_last


def test_pretext_heads_do_not_affect_the_layout() -> None:
    net = network("batch")
    net.heads["jigsaw"] = torch.nn.GroupNorm(4, 8)
    assert memory_layout(net, CPU) == torch.channels_last


@pytest.mark.parametrize("has", [True, False])
def test_bfloat16_if_the_hardware_has_it(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for unit in ("avx512_bf16", "amx_tile"):
        monkeypatch.setattr(torch.cpu, f"_is_{unit}_supported", lambda: has, raising=False)
    with autocast(CPU):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if has else torch.float32)


def test_full_precision_if_torch_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    for unit in ("avx512_bf16", "amx_tile"):
        monkeypatch.delattr(torch.cpu, f"_is_{unit}_supported", raising=False)
    with autocast(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_predicted_classes_are_the_argmax() -> None:
    scores = torch.rand(3, 7, 5, 6, generator=torch.Generator().manual_seed(2))
    assert torch.equal(predicted_classes(scores), scores.argmax(1))


def test_depthwise_convolutions_keep_float32_under_autocast() -> None:
    torch.manual_seed(0)
    stages = (Stage(block=Separable(), width=8), Stage(block=Separable(), width=16))
    net = build_network(Recipe(encoder=Encoder(stages=stages), decoder=UNet(), norm="batch"), 5).eval()
    images = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    weights = net.state_dict()
    exact = net(images)
    depthwise_in_float32(net)
    types = {}
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda m, _, y, name=name: types.update({name: (m.groups > 1, y.dtype)}))
    assert torch.equal(net(images), exact)  # without autocast nothing changes
    with torch.autocast("cpu", torch.bfloat16):
        net(images)
    assert set(types.values()) == {(True, torch.float32), (False, torch.bfloat16)}
    assert net.state_dict().keys() == weights.keys()
