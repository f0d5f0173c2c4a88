"""The contracts of methods and pretext tasks, held by a network whose encoder is timm's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nas.models import FPN, Network, Timm, build_network
from nas.space import Recipe
from nas.tasks import (
    CPS,
    MLMT,
    S4GAN,
    ClassMix,
    Colorization,
    CutMix,
    Denoising,
    FixMatch,
    Fusion,
    Inpainting,
    Jigsaw,
    MeanTeacher,
    PseudoLabel,
    Rotation,
    Supervised,
    UniMatch,
)
from nas.training.batch import Batch
from tests.contracts.method_contract import CLASSES, MethodContract
from tests.contracts.stand_in import rng
from tests.contracts.task_contract import TaskContract
from tests.pretrained import TINY, import_or_skip

import_or_skip("timm")


def network(**fields: Any) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_network(Recipe(Timm(TINY, **fields), FPN(width=8), "group"), CLASSES)


class WithTimm(MethodContract):
    def network(self) -> Any:
        return network()


class TestSupervised(WithTimm):
    def method(self) -> Any:
        return Supervised()


class TestMeanTeacher(WithTimm):
    def method(self) -> Any:
        return MeanTeacher()


class TestCutMix(WithTimm):
    def method(self) -> Any:
        return CutMix(confidence=0.3)


class TestClassMix(WithTimm):
    def method(self) -> Any:
        return ClassMix(confidence=0.3)


class TestFixMatch(WithTimm):
    def method(self) -> Any:
        return FixMatch(confidence=0.3)


class TestUniMatch(WithTimm):
    def method(self) -> Any:
        return UniMatch(confidence=0.3)


class TestPseudoLabel(WithTimm):
    def method(self) -> Any:
        return PseudoLabel(confidence=0.3, warmup=0.1)


class TestCPS(WithTimm):
    def method(self) -> Any:
        return CPS()


class TestS4GAN(WithTimm):
    def method(self) -> Any:
        return S4GAN(threshold=0.3)


class TestMLMT(WithTimm):
    vetoes = True

    def method(self) -> Any:
        return MLMT()


class TestFusion(WithTimm):
    vetoes = True

    def method(self) -> Any:
        return Fusion(MeanTeacher())


class TaskWithTimm(TaskContract):
    def network(self) -> Any:
        net = network()
        net.channels, net.reductions = net.encoder.channels, net.encoder.reductions  # type: ignore[assignment]
        return net


class TestInpainting(TaskWithTimm):
    def task(self) -> Any:
        return Inpainting()


class TestDenoising(TaskWithTimm):
    def task(self) -> Any:
        return Denoising()


class TestColorization(TaskWithTimm):
    random = False

    def task(self) -> Any:
        return Colorization()


class TestJigsaw(TaskWithTimm):
    def task(self) -> Any:
        return Jigsaw()


class TestRotation(TaskWithTimm):
    def task(self) -> Any:
        return Rotation()


@pytest.mark.parametrize("task", [Inpainting(), Denoising(), Colorization(), Jigsaw(), Rotation()], ids=repr)
@pytest.mark.parametrize("frozen", [0, 2, "all"])
def test_pretext_tasks_train_what_is_not_frozen(task: Any, frozen: Any) -> None:
    net = network(frozen=frozen).train()
    head = task.head(net.encoder.channels, net.encoder.reductions)
    inputs, targets = task.make_batch(torch.rand(4, 3, 36, 48, generator=rng(1)), rng(2))
    task.loss(head(net.features(inputs)), targets).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in head.parameters())
    assert all((p.grad is not None) == p.requires_grad for p in net.encoder.parameters())


def test_a_veto_carries_the_encoder() -> None:
    net, method = network(frozen="all"), MLMT()
    own = method.build(net, CLASSES)
    batch = Batch(torch.rand(2, 3, 32, 32), torch.zeros(2, 32, 32, dtype=torch.long), torch.rand(2, 3, 32, 32), rng(0))
    added, _ = method.loss(own, net, batch, net(batch.images), 1.0)
    added.backward()
    method.update(own, net, batch, 0)
    trained = method.predictor(own, net).eval()
    fresh = method.inference(network()).eval()
    fresh.load_state_dict(trained.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(fresh(batch.images), trained(batch.images))
