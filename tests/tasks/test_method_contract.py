"""The shipped methods hold the contract, on the stand-in and on a network of a recipe."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nas.models import Encoder, Plain, Stage, UNet, build_network
from nas.space import Recipe
from tasks import S4GAN, CutMix, MeanTeacher, Supervised
from tests.contracts.method_contract import CLASSES, MethodContract, make_batch


class TestSupervised(MethodContract):
    def method(self) -> Any:
        return Supervised()


class TestMeanTeacher(MethodContract):
    def method(self) -> Any:
        return MeanTeacher()


class TestCutMix(MethodContract):
    def method(self) -> Any:
        return CutMix(confidence=0.3)


class TestCutMixHard(MethodContract):
    def method(self) -> Any:
        return CutMix(confidence=0.3, target="hard")


class TestS4GAN(MethodContract):
    def method(self) -> Any:
        return S4GAN(threshold=0.3)


@pytest.mark.parametrize("method", [MeanTeacher(), CutMix(confidence=0.3), S4GAN(threshold=0.3)], ids=repr)
@pytest.mark.parametrize("norm", ["batch", "switch", "group"])
def test_a_recipes_network_is_trained_by_it(method: Any, norm: str) -> None:
    encoder = Encoder(stages=(Stage(Plain(), 4), Stage(Plain(), 8)))
    torch.manual_seed(0)
    network = build_network(Recipe(encoder=encoder, decoder=UNet(), norm=norm), CLASSES)
    network.heads["Pretext"] = torch.nn.Linear(2, 2)
    own = method.build(network, CLASSES)
    before = [p.clone() for p in network.encoder.parameters()]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for step in range(2):
        batch = make_batch(1, 2, step)
        logits = network(batch.images)
        added, _ = method.loss(own, network, batch, logits, 1.0)
        (added + 0.0 * logits.sum()).backward()
        optimizer.step()
        method.update(own, network, batch, step)
    assert any(not torch.equal(a, b) for a, b in zip(before, network.encoder.parameters(), strict=True))
    assert torch.isfinite(method.predictor(own, network).eval()(batch.images)).all()
