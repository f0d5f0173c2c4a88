"""The trainer: it learns, is reproducible, reports rungs, stops, continues, and fails with a reason."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from nas.models import ASPP, FPN, Encoder, LinkNet, Network, SegNet, Stage, UNet
from nas.space import Component, PretrainThenFinetune, Recipe, candidate_hash
from nas.tasks import (
    MLMT,
    OHEM,
    S4GAN,
    Colorization,
    CrossEntropy,
    CutMix,
    Denoising,
    DiceCE,
    Focal,
    Fusion,
    Inpainting,
    Jigsaw,
    MeanTeacher,
    Supervised,
)
from nas.tasks.methods.semi_supervised import SemiSupervised
from nas.training import SGD, Adam, Augment, Plan, Poly, Trained, TrainingError, evaluate, train

RECIPE = Recipe(
    encoder=Encoder(stages=(Stage(width=8), Stage(width=12))),
    decoder=UNet(),
    loss=CrossEntropy(),
    method=Supervised(),
    optimizer=Adam(lr=5e-3),
    schedule=Poly(),
    augment=Augment(scale=(0.8, 1.25)),
    labelled_batch=3,
    unlabelled_batch=3,
)
ALL_PRETEXT = (Inpainting(weight=0.1), Denoising(weight=0.1), Colorization(weight=0.1), Jigsaw(grid=2, weight=0.1))


def short(candidate: Recipe, data: Any, steps: int = 3, **plan: Any) -> Trained:
    return train(candidate, data, Plan(steps, (steps,), **plan))


def test_it_learns_classes_with_a_colour_each(data: Any) -> None:
    rungs: list[tuple[int, float]] = []
    trained = train(RECIPE, data, Plan(60, (20, 60)), lambda step, miou: rungs.append((step, miou)) or True)
    assert [step for step, _ in rungs] == [20, 60]
    assert trained.scores.miou == rungs[-1][1]
    assert trained.scores.miou > 0.75
    again = evaluate(trained.network, data.validation, 3, torch.device("cpu"))
    assert again == trained.scores


def test_the_seed_decides_the_result(data: Any) -> None:
    candidate = replace(RECIPE, pretext=ALL_PRETEXT, method=CutMix())
    one, two, other = (short(candidate, data, seed=s) for s in (1, 1, 2))
    weights = [torch.cat([p.flatten() for p in t.network.parameters()]) for t in (one, two, other)]
    assert torch.equal(weights[0], weights[1])
    assert one.scores == two.scores
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("method", [Supervised(), MeanTeacher(), CutMix(), S4GAN()])
@pytest.mark.parametrize("pretext", [(), ALL_PRETEXT])
def test_every_method_trains_with_and_without_pretext_tasks(data: Any, method: Any, pretext: Any) -> None:
    trained = short(replace(RECIPE, method=method, pretext=pretext), data)
    assert trained.steps == 3
    assert all(math.isfinite(v) for name, v in trained.logs.items() if name.startswith("loss"))
    assert {f"loss.{type(t).__name__.lower()}" for t in pretext} <= set(trained.logs)


@pytest.mark.parametrize("loss", [DiceCE(), Focal(), OHEM(), CrossEntropy(weighting="sqrt_median", smoothing=0.1)])
@pytest.mark.parametrize("decoder", [LinkNet(), SegNet(), FPN(width=8), ASPP(rates=(2,), width=8)])
def test_every_loss_trains_every_decoder(data: Any, loss: Any, decoder: Any) -> None:
    assert short(replace(RECIPE, loss=loss, decoder=decoder), data, steps=2).scores.miou > 0


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "group", "switch"])
def test_every_norm_trains_with_one_image_per_step(data: Any, norm: str) -> None:
    candidate = replace(RECIPE, norm=norm, labelled_batch=1, unlabelled_batch=1, pretext=ALL_PRETEXT)
    assert math.isfinite(short(candidate, data).logs["loss"])


def test_it_stops_when_report_returns_false(data: Any) -> None:
    trained = train(RECIPE, data, Plan(40, (2, 40)), lambda step, miou: False)
    assert trained.steps == 2


def test_pretraining_trains_pretext_tasks_first_and_segmentation_after(data: Any) -> None:
    candidate = replace(RECIPE, pretext=ALL_PRETEXT, curriculum=PretrainThenFinetune(fraction=0.5))
    rungs: list[int] = []
    first = train(candidate, data, Plan(4, (1, 2, 3, 4)), lambda step, miou: rungs.append(step) or False)
    assert rungs == [3]  # no rung before segmentation starts
    assert "loss.jigsaw" in first.logs
    assert "loss.segmentation" in first.logs
    assert "loss.segmentation" in short(candidate, data, steps=4).logs


@dataclass(frozen=True)
class ProgressLog(SemiSupervised):
    """A method that records the progress of each of its steps."""

    seen: ClassVar[list[float]] = []

    def unlabelled_loss(self, own: Any, network: Any, images: Any, batch: Any, logits: Any, progress: float) -> Any:
        self.seen.append(progress)
        return logits.new_zeros(()), {}


def test_progress_counts_only_segmentation_steps(data: Any) -> None:
    ProgressLog.seen.clear()
    candidate = replace(RECIPE, method=ProgressLog(), pretext=ALL_PRETEXT)
    short(replace(candidate, curriculum=PretrainThenFinetune(fraction=0.5)), data, steps=8)
    assert ProgressLog.seen == [0.0, 0.25, 0.5, 0.75]
    ProgressLog.seen.clear()
    short(candidate, data, steps=4)
    assert ProgressLog.seen == [0.0, 0.25, 0.5, 0.75]


def test_every_step_sends_a_heartbeat(data: Any) -> None:
    heartbeats: list[int] = []
    train(RECIPE, data, Plan(5, (5,)), heartbeat=lambda: heartbeats.append(1))
    assert len(heartbeats) == 5 + 1  # five steps, and a batch of the validation images


def test_clean_running_statistics_ignore_corrupted_images(data: Any) -> None:
    candidate = replace(RECIPE, pretext=(Denoising(weight=0.0 + 1e-9),), optimizer=SGD(lr=1e-12))
    # In the first step, all three see the same images with the same weights.
    plain = short(replace(candidate, pretext=()), data, steps=1).network
    clean = short(candidate, data, steps=1).network
    shared = short(replace(candidate, pretext_statistics="shared"), data, steps=1).network
    assert torch.equal(_statistics(clean), _statistics(plain))
    assert not torch.allclose(_statistics(clean), _statistics(shared))


def _statistics(network: nn.Module) -> torch.Tensor:
    return torch.cat([b.flatten() for name, b in network.encoder.named_buffers() if "running_mean" in name])  # type: ignore[operator]


def test_it_trains_without_unlabelled_images(data: Any) -> None:
    from types import SimpleNamespace

    empty = SimpleNamespace(images=data.unlabelled.images[:0], masks=None)
    few = SimpleNamespace(**{**vars(data), "unlabelled": empty})
    assert short(replace(RECIPE, method=CutMix(), pretext=ALL_PRETEXT), few).steps == 3


@dataclass(frozen=True)
class WeightLog(Supervised):
    """A method that records the network's first weights, at the start and after each step."""

    seen: ClassVar[list[torch.Tensor]] = []

    def build(self, network: Network, classes: int) -> None:
        self.seen[:] = [next(network.parameters()).detach().clone()]

    def update(self, own: Any, network: Network, batch: Any, step: int) -> None:
        self.seen.append(next(network.parameters()).detach().clone())


def test_ema_weights_are_evaluated(data: Any) -> None:
    averaged = short(replace(RECIPE, method=WeightLog(), ema=0.3), data, steps=6)
    expected, *later = WeightLog.seen
    for n, weights in enumerate(later):
        decay = min(0.3, (n + 1) / (n + 10))
        expected = decay * expected + (1 - decay) * weights
    assert torch.allclose(next(averaged.network.parameters()), expected, atol=1e-6)
    assert not torch.allclose(expected, later[-1], atol=1e-6)


def test_pretext_tasks_with_weight_0_are_dropped(data: Any) -> None:
    candidate = replace(RECIPE, pretext=(Denoising(weight=0.0),), pretext_statistics="shared")
    assert candidate_hash(candidate) == candidate_hash(RECIPE)
    one, other = (short(c, data).network.state_dict() for c in (candidate, RECIPE))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_large_images_are_evaluated_in_small_batches(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network = short(RECIPE, data).network
    heartbeats: list[int] = []
    together = evaluate(network, data.validation, 3, torch.device("cpu"))
    monkeypatch.setattr(sys.modules["nas.training.views"], "PIXELS", 2 * 24 * 32 + 1)
    separate = evaluate(network, data.validation, 3, torch.device("cpu"), lambda: heartbeats.append(1))
    assert separate.miou == pytest.approx(together.miou, abs=1e-3)
    assert len(heartbeats) == 3  # 6 images


@pytest.mark.parametrize("method", [MeanTeacher(), CutMix(), Fusion(MeanTeacher(), MLMT())])
def test_ema_has_no_effect_for_methods_with_their_own_average(data: Any, method: Any) -> None:
    plain, averaged = replace(RECIPE, method=method), replace(RECIPE, method=method, ema=0.9)
    assert candidate_hash(plain) == candidate_hash(averaged)
    one, other = short(plain, data).network, short(averaged, data).network
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))
    assert candidate_hash(RECIPE) != candidate_hash(replace(RECIPE, ema=0.9))


def test_clipping_bounds_the_step(data: Any) -> None:
    start = short(replace(RECIPE, optimizer=SGD(lr=1e-12, momentum=0.0)), data, steps=1).network
    candidate = replace(RECIPE, optimizer=SGD(lr=1.0, momentum=0.0, weight_decay=0.0), clip=0.01)
    moved = short(candidate, data, steps=1).network
    change = [a - b for a, b in zip(moved.parameters(), start.parameters(), strict=True)]
    assert torch.cat([c.flatten() for c in change]).norm().item() == pytest.approx(0.01, rel=0.02)


def test_a_loss_that_is_not_finite_ends_the_training(data: Any) -> None:
    with pytest.raises(TrainingError, match=r"is nan at step 10 \(SGD, lr 1e\+30\)|is inf at step 10"):
        short(replace(RECIPE, optimizer=SGD(lr=1e30)), data, steps=12)


@dataclass(frozen=True)
class OutOfMemory(Component):
    """A loss that runs out of memory."""

    def build(self, class_pixels: Any) -> nn.Module:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 999 GiB")


def test_out_of_memory_errors_reach_the_caller(data: Any) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        short(replace(RECIPE, loss=OutOfMemory()), data)


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "group", "switch"])
@pytest.mark.parametrize("method", [Supervised(), MeanTeacher(), CutMix(), S4GAN()])
def test_everything_trains_under_autocast(data: Any, norm: str, method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on hardware with bfloat16, even if this machine has none."""
    monkeypatch.setattr("nas.training.compute._has_bfloat16", lambda device: True)
    decoder = {"batch": UNet(), "instance": LinkNet(), "layer": SegNet(), "group": FPN(width=8)}.get(
        norm, ASPP(width=8)
    )
    candidate = replace(RECIPE, norm=norm, method=method, pretext=ALL_PRETEXT, decoder=decoder, loss=OHEM())
    trained = short(candidate, data, steps=1)
    assert all(math.isfinite(value) for value in trained.logs.values())
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in trained.network.parameters())


@pytest.mark.parametrize(
    "candidate",
    [
        RECIPE,
        replace(RECIPE, pretext=ALL_PRETEXT, method=MeanTeacher(), ema=0.9, augment=Augment(colour=0.3)),
        replace(RECIPE, method=S4GAN(threshold=0.3)),
        replace(RECIPE, pretext=ALL_PRETEXT, curriculum=PretrainThenFinetune(fraction=0.5), optimizer=SGD(lr=0.05)),
    ],
    ids=["supervised", "all stateful parts", "adversarial", "between two phases"],
)
def test_a_paused_training_continues_with_the_same_result(candidate: Recipe, data: Any, tmp_path: Path) -> None:
    plan, kept = Plan(8, (4, 6, 8)), tmp_path / "deep" / "state.pt"
    whole = train(candidate, data, plan)
    reported: list[int] = []

    def stop(step: int, miou: float) -> bool:
        reported.append(step)
        return False

    while not reported or reported[-1] < plan.steps:
        again = train(candidate, data, plan, stop, paused=kept)
        # Another training in between, as in a worker.
        train(replace(candidate, optimizer=Adam(lr=1e-3)), data, Plan(2, (2,), seed=5))
    assert reported in ([4, 6, 8], [6, 8])
    assert again.steps == 8 and again.scores == whole.scores
    for (name, one), (_, other) in zip(
        whole.network.state_dict().items(), again.network.state_dict().items(), strict=True
    ):
        assert torch.equal(one, other), name
    assert sorted(path.name for path in kept.parent.iterdir()) == ["state.pt"]


def test_no_state_is_saved_of_a_training_that_is_not_stopped(data: Any, tmp_path: Path) -> None:
    train(RECIPE, data, Plan(4, (2, 4)), paused=tmp_path / "state.pt")
    assert not list(tmp_path.iterdir())
