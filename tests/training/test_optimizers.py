"""Optimizers: weight decay by parameter, and the classifier's own learning rate."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.models import Encoder, Stage, UNet, build_network
from nas.space import Recipe, candidate_hash
from nas.training import SGD, Adam, AdamW


def network() -> nn.Module:
    return build_network(Recipe(Encoder((Stage(width=4), Stage(width=4))), UNet()), 3)


def rates(optimizer: torch.optim.Optimizer) -> dict[int, float]:
    found = [(id(p), group["lr"]) for group in optimizer.param_groups for p in group["params"]]
    assert len(found) == len(dict(found))
    return dict(found)


@pytest.mark.parametrize("nested", [False, True])
def test_the_classifier_learns_faster(nested: bool) -> None:
    """Including the classifier of a second network, nested in other modules."""
    net = network()
    trained = nn.ModuleList([net, nn.Sequential(network())]) if nested else net
    found = rates(SGD(lr=0.1, classifier_factor=10).build(trained))
    for name, parameter in trained.named_parameters():
        assert found[id(parameter)] == pytest.approx(1.0 if "classifier." in name else 0.1)


def test_without_a_factor_nothing_changes() -> None:
    net = network()
    groups = SGD(lr=0.1).build(net).param_groups
    assert [group["lr"] for group in groups] == [0.1, 0.1]
    assert [group["weight_decay"] for group in groups] == [5e-4, 0.0]
    assert all(group["nesterov"] for group in groups)


@pytest.mark.parametrize("optimizer", [SGD(), SGD(classifier_factor=10), Adam(), AdamW()])
def test_every_parameter_is_trained_and_frozen_ones_are_not(optimizer) -> None:
    net = network()
    net.encoder.requires_grad_(False)
    found = rates(optimizer.build(net))
    assert set(found) == {id(p) for p in net.parameters() if p.requires_grad}


def test_plain_momentum_by_hand() -> None:
    weight = nn.Linear(1, 1, bias=False)
    optimizer = SGD(lr=0.1, momentum=0.5, weight_decay=0, nesterov=False).build(weight)
    nn.init.zeros_(weight.weight)
    for _ in range(2):
        optimizer.zero_grad()
        weight(torch.ones(1, 1)).backward()
        optimizer.step()
    assert weight.weight.item() == pytest.approx(-0.1 * 1 - 0.1 * (1 + 0.5))


def test_nesterov_without_momentum_has_no_effect_on_the_hash() -> None:
    one, other = (
        Recipe(Encoder((Stage(),)), UNet(), optimizer=SGD(momentum=0.0, nesterov=nesterov))
        for nesterov in (True, False)
    )
    assert candidate_hash(one) == candidate_hash(other)
