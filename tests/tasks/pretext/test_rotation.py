"""Rotation: squares, angles, and whether a network can learn the task."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas.models import Encoder, Plain, Stage, UNet, build_network
from nas.space import Recipe
from nas.tasks.pretext import Rotation


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [(12, 20), (21, 13), (16, 16), (1, 5)])
def test_every_square_rotated_back_is_part_of_the_image(size: tuple[int, int]) -> None:
    images = torch.rand(24, 3, *size, generator=rng(1))
    turned, turns = Rotation().make_batch(images, rng())
    side = min(size)
    assert turned.shape == (24, 3, side, side)
    assert turns.dtype == torch.int64
    for image, square, turn in zip(images.numpy(), turned.numpy(), turns.tolist(), strict=True):
        upright = np.rot90(square, -turn, (1, 2))
        windows = np.lib.stride_tricks.sliding_window_view(image, (3, side, side))
        assert (windows == upright).all((-3, -2, -1)).any()


def test_all_turns_and_offsets_are_sampled() -> None:
    # Each pixel holds its position, so that the mean of a square is its offset.
    images = torch.arange(12.0).expand(400, 3, 8, 12).contiguous()
    turned, turns = Rotation().make_batch(images, rng())
    assert np.bincount(turns.numpy(), minlength=4).min() > 70
    assert sorted(set((turned.mean((1, 2, 3)) - 3.5).round().int().tolist())) == [0, 1, 2, 3, 4]


def test_loss_and_metric_by_hand() -> None:
    logits = torch.tensor([[2.0, 0, 0, 0], [0, 0, 1.0, 0]])
    targets = torch.tensor([0, 3])
    odds = np.exp(logits.numpy())
    expected = -np.log((odds / odds.sum(1, keepdims=True))[[0, 1], [0, 3]]).mean()
    assert Rotation().loss(logits, targets).item() == pytest.approx(expected, rel=1e-6)
    assert Rotation().metric(logits, targets) == 0.5


def test_a_network_learns_which_way_is_up() -> None:
    """Images are bright at the top. The accuracy on new images shows that the network has not memorized them."""
    torch.manual_seed(0)

    def streets(count: int, seed: int) -> torch.Tensor:
        slope = torch.linspace(1, 0, 16).view(1, 1, 16, 1)
        return (0.6 * slope + 0.4 * torch.rand(count, 3, 16, 24, generator=rng(seed))).contiguous()

    task = Rotation()
    network = build_network(Recipe(Encoder((Stage(Plain(), 4), Stage(Plain(), 8))), UNet()), 2)
    head = task.head(network.encoder.channels, network.encoder.reductions)
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], 1e-2)
    for step in range(25):
        inputs, targets = task.make_batch(streets(16, step), rng(step))
        loss = task.loss(head(network.features(inputs)), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    inputs, targets = task.make_batch(streets(40, 999), rng(999))
    assert task.metric(head(network.features(inputs)), targets) > 0.9
