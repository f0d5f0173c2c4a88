"""The contract of methods, held by a network that sees images at several scales."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nas.models import Encoder, Plain, Stage, UNet, build_network
from nas.space import Recipe
from nas.tasks import CPS, S4GAN, Fusion, MeanTeacher, UniMatch
from tests.contracts.method_contract import CLASSES, MethodContract


class WithScales(MethodContract):
    def network(self) -> Any:
        stages = (Stage(Plain(convs=1), 4), Stage(Plain(convs=1), 6))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            recipe = Recipe(Encoder(stages), UNet(block=Plain(convs=1)), "group", scales=(0.5, 0.75, 1.0))
            network = build_network(recipe, CLASSES)
        network.heads["Pretext"] = nn.BatchNorm1d(2)
        return network


class TestMeanTeacher(WithScales):
    def method(self) -> Any:
        return MeanTeacher()


class TestUniMatch(WithScales):
    def method(self) -> Any:
        return UniMatch(confidence=0.3)


class TestCPS(WithScales):
    def method(self) -> Any:
        return CPS()


class TestFusion(WithScales):
    """With the veto, whose network is built from the parts of another."""

    def method(self) -> Any:
        return Fusion(S4GAN(threshold=0.3))

    def test_the_veto_keeps_the_scales(self) -> None:
        network = self.network().eval()
        vetoed = self.method().inference(network).eval()
        images = torch.rand(2, 3, 20, 24)
        with torch.no_grad():
            assert torch.equal(vetoed.segment(images), network(images))
