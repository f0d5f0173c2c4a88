"""TaskContract: tests that every pretext task must pass. Subclass it and override `task`."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from nas.models import FPN, Encoder, Inverted, LinkNet, Plain, Separable, Stage, UNet, build_network
from nas.space import Component, Recipe
from tests.contracts.stand_in import TinyNetwork, features_like, rng

__all__ = ["TaskContract"]

ENCODERS = [
    pytest.param((8, 12, 16), (1, 2, 4), id="plain"),
    pytest.param((8, 8, 12, 12), (2, 4, 8, 8), id="dilated"),
    pytest.param((8, 16), (4, 32), id="coarse"),
    pytest.param((6,), (1,), id="one-stage"),
    pytest.param((6, 6), (8, 16), id="coarser-than-4"),
]

LIGHT_NETWORKS = [
    pytest.param(Encoder(tuple(Stage(Plain(), w) for w in (16, 24, 32))), UNet(), id="unet"),
    pytest.param(Encoder(tuple(Stage(Inverted(expand=2), w) for w in (16, 24, 32))), LinkNet(), id="linknet"),
    pytest.param(Encoder(tuple(Stage(Separable(), w) for w in (16, 32)), stem_stride=2), FPN(32), id="fpn"),
]


class TaskContract:
    """Override `task`, and if necessary `network`, `images` and the attributes.

    Attributes:
        random: whether `make_batch` depends on its generator.
        range: smallest and largest values allowed in the inputs.
    """

    random = True
    range = (-3.0, 4.0)

    def task(self) -> Any:
        raise NotImplementedError

    def network(self) -> Any:
        """A network with `features`, and their `channels` and `reductions`."""
        return TinyNetwork()

    def images(self, count: int = 4, height: int = 36, width: int = 48) -> Tensor:
        """Images with structure: smooth colours, an edge, and some texture."""
        generator = rng(7)
        coarse = torch.rand(count, 3, 4, 5, generator=generator)
        smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
        smooth[..., : height // 2, width // 3 :] *= 0.5
        return (smooth + 0.05 * torch.rand(count, 3, height, width, generator=generator)).clamp(0, 1)

    def test_is_a_closed_component_with_a_weight(self) -> None:
        task = self.task()
        assert isinstance(task, Component) and is_dataclass(task)
        assert "weight" in {f.name for f in fields(task)}
        assert task.weight == 1.0
        assert task.canonical().canonical() == task.canonical()
        hash(task)

    def test_images_are_not_changed(self) -> None:
        images = self.images()
        before = images.clone()
        inputs, _ = self.task().make_batch(images, rng())
        inputs.zero_()
        assert torch.equal(images, before)

    def test_inputs_are_images(self) -> None:
        inputs, _ = self.task().make_batch(self.images(), rng())
        assert inputs.ndim == 4 and inputs.shape[1] == 3
        assert inputs.dtype == torch.float32
        assert self.range[0] <= float(inputs.min()) and float(inputs.max()) <= self.range[1]

    def test_only_the_generator_decides_the_batch(self) -> None:
        task, images = self.task(), self.images()
        torch.manual_seed(1)
        first = _tensors(task.make_batch(images, rng(3)))
        state = torch.get_rng_state()
        torch.manual_seed(2)
        again = _tensors(task.make_batch(images, rng(3)))
        other = _tensors(task.make_batch(images, rng(4)))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True)) is self.random
        torch.manual_seed(1)
        assert torch.equal(state, torch.get_rng_state())

    @pytest.mark.parametrize("channels, reductions", ENCODERS)
    @pytest.mark.parametrize("size", [(36, 48), (33, 47)])
    def test_the_head_fits_any_encoder(
        self, channels: tuple[int, ...], reductions: tuple[int, ...], size: tuple[int, int]
    ) -> None:
        task = self.task()
        inputs, targets = task.make_batch(self.images(2, *size), rng())
        features = [f.requires_grad_() for f in features_like(inputs, channels, reductions, rng(1))]
        head = task.head(channels, reductions)
        loss = task.loss(head(features), targets)
        loss.backward()
        assert loss.shape == () and loss.dtype == torch.float32 and torch.isfinite(loss)
        for tensor in (*head.parameters(), *features):
            assert tensor.grad is not None and torch.isfinite(tensor.grad).all()
        assert all(f.grad.abs().sum() > 0 for f in features)  # type: ignore[union-attr]

    def test_one_image_is_enough(self) -> None:
        task, network = self.task(), self.network()
        inputs, targets = task.make_batch(self.images(1), rng())
        prediction = task.head(network.channels, network.reductions)(network.features(inputs))
        assert torch.isfinite(task.loss(prediction, targets))
        assert isinstance(task.metric(prediction, targets), float)

    def test_finite_under_autocast(self) -> None:
        task, network = self.task(), self.network()
        head = task.head(network.channels, network.reductions)
        with torch.autocast("cpu", torch.bfloat16):
            inputs, targets = task.make_batch(self.images(), rng())
            loss = task.loss(head(network.features(inputs)), targets)
        loss.backward()
        assert loss.dtype == torch.float32 and torch.isfinite(loss)

    def test_autocast_does_not_change_the_batch(self) -> None:
        task, images = self.task(), self.images()
        plain = _tensors(task.make_batch(images, rng()))
        with torch.autocast("cpu", torch.bfloat16):
            cast = _tensors(task.make_batch(images, rng()))
        assert all(torch.equal(a, b) for a, b in zip(plain, cast, strict=True))

    def test_the_head_has_no_running_statistics(self) -> None:
        network = self.network()
        head = self.task().head(network.channels, network.reductions)
        assert not dict(head.named_buffers())

    def test_the_head_works_on_the_meta_device(self) -> None:
        with torch.device("meta"):
            head = self.task().head((8, 16), (1, 4))
            features = [torch.empty(2, 8, 32, 32), torch.empty(2, 16, 8, 8)]
            assert head(features).device.type == "meta"

    @pytest.mark.parametrize("encoder, decoder", LIGHT_NETWORKS)
    def test_a_step_costs_at_most_30_percent_more_than_a_supervised_one(self, encoder: Any, decoder: Any) -> None:
        """Counted in operations, on networks so light that an expensive head would be noticed."""
        task = self.task()
        network = build_network(Recipe(encoder=encoder, decoder=decoder), classes=11)
        images = self.images(1, 48, 48)
        inputs, _ = task.make_batch(images, rng())
        head = task.head(network.encoder.channels, network.encoder.reductions)
        with FlopCounterMode(display=False) as supervised:
            network(images)
        with FlopCounterMode(display=False) as pretext:
            head(network.features(inputs))
        assert pretext.get_total_flops() <= 1.3 * supervised.get_total_flops()

    def test_training_lowers_the_loss_and_raises_the_metric(self) -> None:
        task = self.task()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = self.network()
            head = task.head(network.channels, network.reductions)
        optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=1e-2)
        inputs, targets = task.make_batch(self.images(), rng())
        losses, metrics = [], []
        for _ in range(30):
            prediction = head(network.features(inputs))
            loss = task.loss(prediction, targets)
            losses.append(loss.item())
            metrics.append(task.metric(prediction, targets))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert losses[-1] < 0.7 * losses[0]
        assert metrics[-1] > metrics[0]


def _tensors(found: Any) -> list[Tensor]:
    """Flatten nested tuples of tensors."""
    if isinstance(found, Tensor):
        return [found]
    return [tensor for part in found for tensor in _tensors(part)]
