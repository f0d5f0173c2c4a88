"""Our ResNets with torchvision's files, held to torchvision's own features."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nas.errors import UserError
from nas.models import (
    Bottleneck,
    Encoder,
    Plain,
    Pretrained,
    Residual,
    Stage,
    build_network,
    deeplabv2_resnet101,
    make_norm,
)
from nas.models.resnet_weights import resnet_name
from nas.space import Recipe, candidate_hash
from nas.training import SGD
from nas.weights_folder import weights_from
from tests.pretrained import import_or_skip

batch = partial(make_norm, "batch")

PLANS = {
    "resnet18": (Residual(), (64, 128, 256, 512), (2, 2, 2, 2)),
    "resnet34": (Residual(), (64, 128, 256, 512), (3, 4, 6, 3)),
    "resnet50": (Bottleneck(), (256, 512, 1024, 2048), (3, 4, 6, 3)),
    "resnet101": (Bottleneck(), (256, 512, 1024, 2048), (3, 4, 23, 3)),
}


def resnet(name: str, **fields: Any) -> Encoder:
    block, widths, depths = PLANS[name]
    stages = tuple(Stage(block, w, d, down="stride") for w, d in zip(widths, depths, strict=True))
    return Encoder(stages, stem_stride=4, stem="resnet", **fields)


@pytest.mark.parametrize("name", PLANS)
def test_features_are_torchvisions(tmp_path: Path, name: str) -> None:
    models = import_or_skip("torchvision").models
    torch.manual_seed(0)
    theirs = models.get_model(name).train()
    for _ in range(3):  # so that running statistics matter
        theirs(torch.randn(2, 3, 64, 64))
    torch.save(theirs.state_dict(), tmp_path / f"{name}-0123abcd.pth")
    net = Pretrained(resnet(name)).build(batch).eval()
    with weights_from(tmp_path):
        net.load_weights()
    x = torch.randn(2, 3, 64, 96)
    extract = import_or_skip("torchvision.models.feature_extraction").create_feature_extractor
    layers = {f"layer{i}": str(i) for i in range(1, 5)}
    with torch.no_grad():
        expected = extract(theirs.eval(), layers)(x).values()
        for feature, other in zip(net(x), expected, strict=True):
            assert (feature - other).abs().max() <= 1e-5 * other.abs().max().clamp(min=1)


def test_dilated_and_published_networks_are_recognised() -> None:
    assert resnet_name(deeplabv2_resnet101().encoder) == "resnet101"
    assert resnet_name(resnet("resnet50", output_stride=8)) == "resnet50"
    assert resnet_name(replace(resnet("resnet18"), stem="conv")) is None
    assert resnet_name(Encoder((Stage(Plain(), 8),))) is None


def test_a_missing_file_is_refused_unless_it_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    part = Pretrained(resnet("resnet18"))
    with weights_from(tmp_path):
        with pytest.raises(UserError, match=r"no file resnet18-\*\.pth .*put it into"):
            part.check_weights()
        optional = replace(part, optional=True)
        optional.check_weights()
        assert not optional.weights_found() and "starts from random weights" in optional.weights_note()
        net = optional.build(batch)
        before = net.body.stem[0].weight.clone()
        net.load_weights()
        assert torch.equal(before, net.body.stem[0].weight)
    with pytest.raises(UserError, match="is no ResNet of torchvision"):
        Pretrained(Encoder((Stage(Plain(), 8),))).check_weights()


def test_files_of_other_networks_are_refused(tmp_path: Path) -> None:
    other = build_network(Recipe(resnet("resnet34"), deeplabv2_resnet101().decoder), 2)
    save_file(other.state_dict(), tmp_path / "run.safetensors")
    own = Pretrained(resnet("resnet34"), str(tmp_path / "run.safetensors")).build(batch)
    own.load_weights()
    assert torch.equal(own.body.stem[0].weight, other.encoder.stem[0].weight)
    with pytest.raises(UserError, match=r"does not fit the encoder: stages\.0\.2.* is not in the network"):
        Pretrained(resnet("resnet18"), str(tmp_path / "run.safetensors")).check_weights()


def test_the_encoder_learns_at_its_rate() -> None:
    recipe = Recipe(Pretrained(resnet("resnet18"), rate=0.1), deeplabv2_resnet101().decoder)
    net = build_network(recipe, 2)
    found = {id(p): g["lr"] for g in SGD(lr=1.0, classifier_factor=10).build(net).param_groups for p in g["params"]}
    assert {found[id(p)] for p in net.encoder.parameters()} == {0.1}
    assert {found[id(p)] for p in net.classifier.parameters()} == {10.0}


def test_frozen_stages_and_canonical_form() -> None:
    net = Pretrained(resnet("resnet18"), frozen=1).build(batch)
    trained = {name for name, p in net.body.named_parameters() if p.requires_grad}
    assert trained == {n for n, _ in net.body.named_parameters() if n.startswith(("stages.1", "stages.2", "stages.3"))}
    one, two = (Recipe(Pretrained(resnet("resnet18"), frozen="all", rate=r), None) for r in (0.1, 1.0))
    assert candidate_hash(one) == candidate_hash(two)
