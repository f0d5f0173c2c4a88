"""The shipped methods pass the contract, with a small network and with that of a recipe."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nas.models import Encoder, Plain, Stage, UNet, build_network
from nas.space import Recipe
from nas.tasks import CPS, S4GAN, ClassMix, CutMix, FixMatch, MeanTeacher, PseudoLabel, Supervised, UniMatch
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


class TestClassMix(MethodContract):
    def method(self) -> Any:
        return ClassMix(confidence=0.3)


class TestFixMatch(MethodContract):
    def method(self) -> Any:
        return FixMatch(confidence=0.3)


class TestFixMatchUnsure(MethodContract):
    def method(self) -> Any:
        return FixMatch(confidence=1.0)


class TestUniMatch(MethodContract):
    def method(self) -> Any:
        return UniMatch(confidence=0.3)


class TestPseudoLabel(MethodContract):
    def method(self) -> Any:
        return PseudoLabel(confidence=0.3, warmup=0.1)


class TestPseudoLabelWithoutWarmup(MethodContract):
    def method(self) -> Any:
        return PseudoLabel(confidence=0.3, warmup=0.0)


class TestCPS(MethodContract):
    def method(self) -> Any:
        return CPS()


class TestCPSAtFullWeight(MethodContract):
    def method(self) -> Any:
        return CPS(rampup=0.0)


class TestS4GAN(MethodContract):
    def method(self) -> Any:
        return S4GAN(threshold=0.3)


LEARNING = (
    MeanTeacher(),
    CutMix(confidence=0.3),
    ClassMix(confidence=0.3),
    FixMatch(confidence=0.3),
    UniMatch(confidence=0.3),
    PseudoLabel(confidence=0.3),
    CPS(),
    S4GAN(threshold=0.3),
)


@pytest.mark.parametrize("method", LEARNING, ids=repr)
@pytest.mark.parametrize("norm", ["batch", "switch", "group"])
def test_the_network_of_a_recipe_is_trained(method: Any, norm: str) -> None:
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
