"""Schedules and optimizers against their formulas."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from nas.training import SGD, Adam, AdamW, Constant, Cosine, Poly, ema_update


def test_poly_and_cosine_are_their_formulas() -> None:
    for step in (0, 10, 99):
        assert Poly(power=0.9).factor(step, 100) == pytest.approx((1 - step / 100) ** 0.9)
        assert Cosine().factor(step, 100) == pytest.approx((1 + math.cos(math.pi * step / 100)) / 2)
        assert Constant().factor(step, 100) == 1.0


@pytest.mark.parametrize("schedule", [Poly(warmup=0.1), Cosine(warmup=0.1), Constant(warmup=0.1)])
def test_warm_up_rises_in_a_line_to_one(schedule: Poly) -> None:
    rates = [schedule.factor(step, 100) for step in range(100)]
    rises = [b - a for a, b in itertools.pairwise(rates[:10])]
    assert all(r == pytest.approx(rises[0]) for r in rises)
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 10
    assert all(0 < r <= 1 for r in rates)


@pytest.mark.parametrize("optimizer", [SGD(lr=0.1), Adam(lr=0.1, weight_decay=0.1), AdamW(lr=0.1)])
def test_every_parameter_is_trained_once_and_gains_are_not_decayed(optimizer: SGD) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    built = optimizer.build(network)
    grouped = [p for group in built.param_groups for p in group["params"]]
    assert {id(p) for p in grouped} == {id(p) for p in network.parameters()}
    assert len(grouped) == len(list(network.parameters()))
    for group in built.param_groups:
        assert group["lr"] == 0.1
        assert group["weight_decay"] == (optimizer.weight_decay if group["params"][0].ndim > 1 else 0)


def test_ema_moves_weights_and_buffers() -> None:
    old, new = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    nn.init.constant_(new.weight, 3.0)
    new.running_mean.fill_(5.0)  # type: ignore[union-attr]
    new.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
    ema_update(old, new, 0.9)
    assert torch.allclose(old.weight, torch.full((2,), 0.9 * 1 + 0.1 * 3))
    assert torch.allclose(old.running_mean, torch.full((2,), 0.5))  # type: ignore[arg-type]
    assert old.num_batches_tracked == 7
