"""Timm encoders: features, freezing, rates and statistics, held to timm's and torchvision's own networks."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from nas.errors import UserError
from nas.models import ASPP, FPN, DeepLabv2, LinkNet, Network, Norms, SegNet, Timm, UNet, build_network
from nas.space import Choice, Recipe, candidate_hash, describe, from_json, to_json
from nas.tasks import CPS, Supervised
from nas.training import SGD, Adam, AdamW, cost
from nas.weights_folder import weights_from
from tests.pretrained import LITE0, MOBILENET, TINY, import_or_skip, real_weights

timm = import_or_skip("timm")


def network(encoder: Timm, decoder: Any = None, norm: Any = "batch") -> Network:
    return build_network(SimpleNamespace(encoder=encoder, decoder=decoder or FPN(width=6), norm=norm), 3)


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.mobilenet
def test_torchvisions_file_gives_torchvisions_features() -> None:
    """Under its own file name, found in the folder of weights, with its own normalisation of images."""
    torchvision = import_or_skip("torchvision")
    file = real_weights(MOBILENET)
    theirs = torchvision.models.mobilenet_v2()
    theirs.load_state_dict(torch.load(file, weights_only=True))
    net = network(Timm("mobilenetv2_100", "imagenet")).eval()
    with weights_from(file.parent):
        net.encoder.load_weights()
    x = images(2, 3, 64, 96)
    normal = torchvision.transforms.functional.normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    expected, theirs = [], theirs.eval()
    with torch.no_grad():
        for i, layer in enumerate(theirs.features[:18]):
            normal = layer(normal)
            if i in (1, 3, 6, 13, 17):
                expected.append(normal)
        for feature, other in zip(net.features(x), expected, strict=True):
            torch.testing.assert_close(feature, other, rtol=1e-4, atol=1e-4)


def lite0() -> tuple[nn.Module, Network]:
    """timm's whole network, and ours, from a file that names layers otherwise."""
    file = real_weights(LITE0)
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    whole.load_state_dict(dict(zip(whole.state_dict(), torch.load(file, weights_only=True).values(), strict=True)))
    net = network(Timm("tf_efficientnet_lite0", str(file))).eval()
    net.encoder.load_weights()
    return whole, net


@torch.no_grad()
def test_features_are_those_of_the_whole_network() -> None:
    whole, net = lite0()
    x = images(2, 3, 64, 96)
    features = whole.forward_intermediates((x - 0.5) / 0.5, intermediates_only=True)  # type: ignore[operator]
    for feature, other in zip(net.features(x), features, strict=True):
        torch.testing.assert_close(feature, other, rtol=1e-4, atol=1e-4)


def test_photos_are_classified_by_the_rest_of_the_network() -> None:
    """The features of a cat and of a cup are taken for such."""
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    whole, net = lite0()
    for photo, classes in ((data.chelsea(), (281, 282, 285)), (data.coffee(), (967, 968))):
        x = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None] / 255
        x = nn.functional.interpolate(x, size=(256, 256), mode="bilinear", antialias=True)
        with torch.no_grad():
            last = net.features(x)[-1]
            logits = whole.forward_head(whole.bn2(whole.conv_head(last)))
            torch.testing.assert_close(logits, whole((x - 0.5) / 0.5), rtol=1e-4, atol=1e-4)
        assert int(logits.argmax()) in classes


@pytest.mark.parametrize("decoder", [UNet(), LinkNet(), SegNet(), FPN(width=6), ASPP(width=6), DeepLabv2()], ids=repr)
@pytest.mark.parametrize("stride", [8, 32])
def test_any_decoder_fits_at_any_size(decoder: Any, stride: int) -> None:
    net = network(Timm(TINY, output_stride=stride), decoder)
    assert max(net.encoder.reductions) == stride
    for n, h, w in ((2, 33, 47), (1, 1, 1)):
        net.zero_grad()
        logits = net(images(n, 3, h, w))
        assert logits.shape == (n, 3, h, w)
        logits.square().mean().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.encoder.parameters())
    assert net.encoder.training


@pytest.mark.parametrize("name", ["test_resnet", "test_byobnet", "test_convnext", "resnet18"])
def test_stages_are_what_features_depend_on(name: str) -> None:
    """Of a frozen net the first features stay the same whatever is trained, and all others are trained."""
    encoder = Timm(name, frozen=2)
    net = network(encoder).train()
    x = images(2, 3, 64, 64)
    with torch.no_grad():
        before = [f.clone() for f in net.features(x)]
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    net(x).square().mean().backward()
    optimizer.step()
    after = net.features(x)
    same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == [True, True] + [False] * (len(same) - 2)


def test_frozen_parts_keep_their_running_statistics() -> None:
    for encoder, still in (
        (Timm(TINY, frozen="all"), True),
        (Timm(TINY, frozen="cached"), True),
        (Timm(TINY, statistics="frozen"), True),
        (Timm(TINY), False),
    ):
        net = copy.deepcopy(network(encoder)).train()
        before = {name: b.clone() for name, b in net.encoder.named_buffers()}
        net(images(2, 3, 64, 64))
        assert all(torch.equal(before[name], b) for name, b in net.encoder.named_buffers()) == still
        assert any(p.requires_grad for p in net.encoder.parameters()) == (encoder.frozen == 0)
        assert any(module.training for module in net.encoder.body.modules()) == (encoder.frozen == 0)
        assert all(p.requires_grad for p in net.decoder.parameters()) and net.decoder.training


@pytest.mark.parametrize("optimizer", [SGD(lr=0.1, classifier_factor=10), SGD(lr=0.1), Adam(lr=0.1), AdamW(lr=0.1)])
def test_the_encoder_learns_at_its_rate(optimizer: Any) -> None:
    """Also the encoder of a second network that a method trains."""
    net = network(Timm(TINY, rate=0.2, frozen=1))
    trained = nn.ModuleList([net, CPS().build(net, 3)])
    found = {id(p): g["lr"] for g in optimizer.build(trained).param_groups for p in g["params"]}
    assert set(found) == {id(p) for p in trained.parameters() if p.requires_grad}
    faster = getattr(optimizer, "classifier_factor", 1)
    for name, parameter in trained.named_parameters():
        if parameter.requires_grad:
            factor = 0.2 if "encoder." in name else faster if "classifier." in name else 1
            assert found[id(parameter)] == pytest.approx(0.1 * factor)


def test_a_twin_starts_from_the_same_weights_and_another_decoder(tmp_path: Path) -> None:
    torch.save(timm.create_model(TINY).state_dict(), tmp_path / "w.pth")
    for encoder, same in ((Timm(TINY, str(tmp_path / "w.pth")), True), (Timm(TINY), False)):
        net = network(encoder)
        twin: Any = CPS().build(net, 3)
        assert torch.equal(twin.network.encoder.body.conv_stem.weight, net.encoder.body.conv_stem.weight) == same
        assert not torch.equal(twin.network.classifier.weight, net.classifier.weight)


def test_loading_uses_up_no_random_number(tmp_path: Path) -> None:
    torch.save(timm.create_model(TINY).state_dict(), tmp_path / "w.pth")
    drawn = []
    for weights in (None, str(tmp_path / "w.pth"), str(tmp_path / "w.pth")):
        torch.manual_seed(3)
        net = network(Timm(TINY, weights))
        net.encoder.load_weights()
        drawn.append(torch.rand(1))
    assert drawn[0] == drawn[1] == drawn[2]


def test_costs_read_no_weights() -> None:
    recipe = Recipe(Timm("resnet18", "nowhere.pth"), UNet(), method=Supervised())
    counted = cost(recipe, (64, 64), 3)
    assert counted.params == sum(p.numel() for p in network(recipe.encoder, recipe.decoder).parameters())
    frozen = cost(Recipe(Timm("resnet18", frozen="all"), UNet(), method=Supervised()), (64, 64), 3)
    assert frozen.memory_mb < counted.memory_mb


def test_norms_are_the_decoders() -> None:
    def of(norm: Any, decoder: Any = None, **fields: Any) -> Recipe:
        return Recipe(Timm(TINY, **fields), decoder or UNet(), norm)

    net = network(Timm(TINY), norm=Norms("group", "instance"))
    assert not any(isinstance(m, nn.GroupNorm) for m in net.encoder.modules())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.decoder.modules())
    assert len({candidate_hash(of(n)) for n in ("group", Norms("batch", "group"), Norms("layer", "group"))}) == 1
    assert candidate_hash(of("group")) != candidate_hash(of("batch"))
    assert candidate_hash(of("group", DeepLabv2())) == candidate_hash(of("batch", DeepLabv2()))
    all_frozen = {
        candidate_hash(of("batch", frozen="all", rate=r, statistics=s)) for r in (0.1, 1) for s in ("batch", "frozen")
    }
    assert len(all_frozen) == 1
    assert "Norm: Timm encoders keep their own" in describe(Recipe(Choice(Timm(TINY), Timm("resnet18")), UNet()))
    assert from_json(to_json(of("group", frozen=2, rate=0.5))).encoder == Timm(TINY, frozen=2, rate=0.5)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (Timm("mobilenetv2_10"), "timm has no such network, did you mean .*mobilenetv2_100"),
        (Timm("hf-hub:someone/model"), "timm has no such network"),
        (Timm("resnet18.a9"), "no weights of that tag; there are a1_in1k"),
        (Timm("vit_tiny_patch16_224"), "it cannot serve as an encoder"),
        (Timm("vgg11_bn", output_stride=8), "vgg11_bn cannot be dilated"),
        (Timm(TINY, output_stride=4), r"Timm\.output_stride is 4"),
        (Timm(TINY, frozen=5), "the encoder has 5 stages"),
        (Timm(TINY, frozen=-1), r"Timm\.frozen is -1"),
        (Timm(TINY, rate=0.0), r"Timm\.rate is 0"),
        (Timm(TINY, statistics="none"), r"Timm\.statistics is 'none'"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_built_is_named(encoder: Timm, message: str) -> None:
    with pytest.raises(UserError, match=message):
        network(encoder)
