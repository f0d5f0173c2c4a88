"""MethodContract: tests that every semi-supervised method must pass. Subclass it and override `method`."""

from __future__ import annotations

import copy
import io
import math
from dataclasses import is_dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.space import Component
from nas.training.batch import Batch
from tests.contracts.stand_in import TinyNetwork, rng

__all__ = ["MethodContract", "make_batch"]

CLASSES = 4


def make_batch(labelled: int = 2, unlabelled: int | None = 3, seed: int = 0) -> Batch:
    """A batch of noise, labelled by brightness, with a tenth of the pixels void."""
    generator = rng(seed)
    images = torch.rand(labelled, 3, 20, 24, generator=generator)
    masks = (images.mean(1) * CLASSES).long().clamp(0, CLASSES - 1)
    masks[torch.rand(masks.shape, generator=generator) < 0.1] = 255
    others = None if unlabelled is None else torch.rand(unlabelled, 3, 20, 24, generator=generator)
    return Batch(images, masks, others, generator)


class MethodContract:
    """Override `method`, `network` to test with another network, and `vetoes` where a method may veto classes."""

    vetoes = False

    def method(self) -> Any:
        raise NotImplementedError

    def network(self) -> Any:
        return TinyNetwork(CLASSES)

    def start(self) -> tuple[Any, Any, nn.Module | None, torch.optim.Optimizer]:
        method, network = self.method(), self.network()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            own = method.build(network, CLASSES)
        return method, network, own, torch.optim.SGD(_trained(network, own), lr=0.05, momentum=0.9)

    def test_is_a_component(self) -> None:
        method = self.method()
        assert isinstance(method, Component) and is_dataclass(method)
        assert isinstance(method.needs_unlabelled, bool)
        hash(method)

    def test_its_module_shares_no_tensors_with_the_network(self) -> None:
        _, network, own, _ = self.start()
        if own is None:
            return
        theirs = {t.data_ptr() for t in network.parameters()} | {t.data_ptr() for t in network.buffers()}
        assert not theirs & {t.data_ptr() for t in own.parameters()}
        assert not theirs & {t.data_ptr() for t in own.buffers()}
        assert not any("Pretext" in name for name, _ in own.named_parameters())

    def test_one_labelled_and_one_unlabelled_image(self) -> None:
        method, network, own, optimizer = self.start()
        for step in range(3):
            total, logged = _step(method, network, own, optimizer, make_batch(1, 1, step), step)
            assert torch.isfinite(total)
            assert all(torch.as_tensor(value).shape == () for value in logged.values())
            assert not any(torch.as_tensor(value).requires_grad for value in logged.values())

    def test_without_unlabelled_images_training_is_supervised(self) -> None:
        for unlabelled in (None, 0):
            method, network, own, optimizer = self.start()
            batch = make_batch(2, unlabelled)
            added, _ = method.loss(own, network, batch, network(batch.images), 0.5)
            assert float(added) == 0.0
            plain = self.network()
            plain_optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9)
            for _ in range(2):
                _supervised(plain(batch.images), batch.masks).backward()
                plain_optimizer.step()
                plain_optimizer.zero_grad()
            method, network, own, optimizer = self.start()
            for step in range(2):
                _step(method, network, own, optimizer, batch, step)
            assert _same(plain.state_dict(), network.state_dict())

    def test_a_method_that_needs_no_images_reads_none(self) -> None:
        """Batches of cached features hold no images."""
        method, network, own, _ = self.start()
        if getattr(method, "needs_images", True):
            return
        assert not method.needs_unlabelled
        batch = make_batch(2, None)
        added, _ = method.loss(own, network, replace(batch, images=batch.images[:0]), network(batch.images), 0.5)
        assert torch.isfinite(added)

    def test_batches_without_any_label_stay_finite(self) -> None:
        method, network, own, optimizer = self.start()
        for step in range(0, 10, 3):
            batch = make_batch(seed=step)
            batch = replace(batch, masks=torch.full_like(batch.masks, 255))
            total, logged = _step(method, network, own, optimizer, batch, step)
            assert torch.isfinite(total) and all(map(math.isfinite, logged.values()))
        after = {**network.state_dict(), **method.predictor(own, network).state_dict()}
        assert all(torch.isfinite(value).all() for value in after.values())

    def test_gradients_reach_the_network_and_its_own_trained_parameters(self) -> None:
        method, network, own, _ = self.start()
        batch = make_batch()
        # Twice, to detect gradients or state that an update leaves for the next loss.
        for step in range(2):
            for module in (network, own):
                if module is not None:
                    module.zero_grad()
            logits = network(batch.images)
            added, _ = method.loss(own, network, batch, logits, 0.9)
            (_supervised(logits, batch.masks) + added).backward()
            assert all((p.grad is not None) == p.requires_grad for p in _parameters(own))
            before = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
            assert len(before) == sum(not n.startswith("heads") for n, _ in network.named_parameters())
            weights = copy.deepcopy(network.state_dict())
            method.update(own, network, batch, step)
            after = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
            assert _same(before, after) and _same(weights, network.state_dict())

    def test_the_batch_is_not_changed(self) -> None:
        method, network, own, optimizer = self.start()
        batch = make_batch()
        before = [t.clone() for t in (batch.images, batch.masks, batch.unlabelled) if t is not None]
        _step(method, network, own, optimizer, batch, 0)
        after = [t for t in (batch.images, batch.masks, batch.unlabelled) if t is not None]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))

    def test_only_the_batchs_generator_decides(self) -> None:
        ends = []
        for seed in (1, 2):
            method, network, own, optimizer = self.start()
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            for step in range(3):
                _step(method, network, own, optimizer, make_batch(seed=step), step)
            assert torch.equal(before, torch.get_rng_state())
            ends.append({**network.state_dict(), **_state(own)})
        assert _same(*ends)

    def test_training_continues_exactly_from_a_saved_state(self) -> None:
        method, network, own, optimizer = self.start()
        for step in range(3):
            _step(method, network, own, optimizer, make_batch(seed=step), step)
        saved = io.BytesIO()
        states = [network.state_dict(), optimizer.state_dict(), None if own is None else own.state_dict()]
        torch.save(states, saved)
        for step in range(3, 5):
            _step(method, network, own, optimizer, make_batch(seed=step), step)

        _, other_network, other, other_optimizer = self.start()
        saved.seek(0)
        states = torch.load(saved, weights_only=True)
        other_network.load_state_dict(states[0])
        other_optimizer.load_state_dict(states[1])
        if other is not None:
            other.load_state_dict(states[2])
        for step in range(3, 5):
            _step(method, other_network, other, other_optimizer, make_batch(seed=step), step)
        assert _same({**network.state_dict(), **_state(own)}, {**other_network.state_dict(), **_state(other)})

    def test_the_mode_of_its_module_has_no_effect(self) -> None:
        ends = []
        for training in (True, False):
            method, network, own, optimizer = self.start()
            if own is not None:
                own.train(training)
            for step in range(2):
                _step(method, network, own, optimizer, make_batch(seed=step), step)
            ends.append({**network.state_dict(), **_state(own)})
        assert _same(*ends)

    def test_an_untrained_predictor_loads_the_trained_weights(self) -> None:
        method, network, own, optimizer = self.start()
        for step in range(2):
            _step(method, network, own, optimizer, make_batch(seed=step), step)
        trained = method.predictor(own, network).eval()
        other = self.network()
        with torch.random.fork_rng(devices=[]):
            fresh = method.inference(other)
        for each in (trained, fresh):
            each.heads = nn.ModuleDict()
        fresh.load_state_dict(trained.state_dict())
        images = make_batch(seed=9).images
        with torch.no_grad():
            assert torch.equal(fresh.eval()(images), trained(images))

    def test_it_warns_if_there_are_no_unlabelled_images(self) -> None:
        method = self.method()
        advice = method.advice(100, 0)
        assert (advice is not None) == method.needs_unlabelled
        assert advice is None or (type(method).__name__ in advice and "\n" not in advice)
        assert method.advice(100, 300) is None

    def test_the_predictor_predicts(self) -> None:
        method, network, own, optimizer = self.start()
        batch = make_batch()
        _step(method, network, own, optimizer, batch, 0)
        predictor = method.predictor(own, network).eval()
        with torch.no_grad():
            logits = predictor(batch.images)
        # A veto sets the logits of a class to minus infinity, never those of all classes.
        compared = logits.amax(1) if self.vetoes else logits
        assert logits.shape == (2, CLASSES, 20, 24) and torch.isfinite(compared).all()

    def test_finite_under_autocast(self) -> None:
        method, network, own, _ = self.start()
        batch = make_batch()
        with torch.autocast("cpu", torch.bfloat16):
            added, _ = method.loss(own, network, batch, network(batch.images), 1.0)
        method.update(own, network, batch, 0)
        assert added.dtype == torch.float32 and torch.isfinite(added)


def _step(
    method: Any, network: Any, own: Any, optimizer: torch.optim.Optimizer, batch: Batch, step: int
) -> tuple[Tensor, dict[str, float]]:
    """Take a training step as the trainer does; the training has ten steps."""
    logits = network(batch.images)
    added, logged = method.loss(own, network, batch, logits, step / 10)
    total = _supervised(logits, batch.masks) + added
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    optimizer.step()
    method.update(own, network, batch, step)
    return total.detach(), logged


def _supervised(logits: Tensor, masks: Tensor) -> Tensor:
    """Mean cross-entropy over labelled pixels, 0 if there are none."""
    losses = F.cross_entropy(logits, masks, ignore_index=255, reduction="none")
    return losses.sum() / (masks != 255).sum().clamp_min(1)


def _trained(network: Any, own: nn.Module | None) -> list[nn.Parameter]:
    """The parameters that the recipe's optimizer trains."""
    return [*network.parameters(), *(p for p in _parameters(own) if p.requires_grad)]


def _parameters(own: nn.Module | None) -> list[nn.Parameter]:
    return [] if own is None else list(own.parameters())


def _state(own: nn.Module | None) -> dict[str, Any]:
    state = {} if own is None else own.state_dict()
    return {f"own.{name}": value for name, value in state.items()}


def _same(one: Any, other: Any) -> bool:
    """Whether nested dictionaries and lists have equal values; tensors are compared exactly."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
