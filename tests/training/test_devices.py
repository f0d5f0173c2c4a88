"""A training step stays on its device and never waits for it, tested on torch's `meta` device.

Tensors there have a shape but no numbers. Mixing them with CPU tensors is an error, as on a GPU. So is reading a
number, for which the CPU would have to wait on a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import nas
from nas.space import Recipe
from nas.training import Plan
from nas.training.trainer import Training

RECIPE = Recipe(
    encoder=nas.Encoder(stages=(nas.Stage(width=8), nas.Stage(width=16))),
    decoder=nas.UNet(),
    loss=nas.CrossEntropy(weighting="sqrt_median"),
    method=nas.Supervised(),
    optimizer=nas.Adam(lr=1e-3),
    schedule=nas.Poly(),
    augment=nas.Augment(scale=(0.75, 1.5), colour=0.3),
    labelled_batch=3,
    unlabelled_batch=3,
    ema=0.9,
    clip=1.0,
)
PRETEXT = (nas.Inpainting(), nas.Denoising(), nas.Colorization(), nas.Jigsaw(), nas.Rotation())
METHODS = (
    *(nas.PseudoLabel(warmup=0.0), nas.MeanTeacher(), nas.CutMix(), nas.CutMix(target="hard"), nas.ClassMix()),
    *(nas.FixMatch(), nas.UniMatch(), nas.CPS(), nas.S4GAN(), nas.MLMT(), nas.Fusion(nas.S4GAN(), nas.MLMT())),
    nas.S4GAN(adversarial="bce", threshold_kind="quantile"),
)
DECODERS = (nas.UNet(up="bilinear"), nas.LinkNet(), nas.SegNet(), nas.FPN(width=8), nas.ASPP(width=8))
LOSSES = (nas.DiceCE(), nas.Focal(), nas.OHEM())
CASES = (
    *(replace(RECIPE, method=method) for method in METHODS),
    *(replace(RECIPE, pretext=PRETEXT, pretext_statistics=kind) for kind in ("shared", "clean")),
    *(replace(RECIPE, norm=norm) for norm in ("batch", "instance", "layer", "group", "switch")),
    *(replace(RECIPE, decoder=decoder) for decoder in DECODERS),
    *(replace(RECIPE, loss=loss) for loss in LOSSES),
    *(replace(RECIPE, optimizer=optimizer) for optimizer in (nas.SGD(lr=0.1), nas.AdamW(lr=0.1))),
)


def split(count: int, masks: bool) -> Any:
    rng = np.random.default_rng(count)
    found = rng.integers(0, 4, (count, 32, 48), np.uint8) if masks else None
    return SimpleNamespace(images=rng.integers(0, 255, (count, 32, 48, 3), np.uint8), masks=found)


@pytest.fixture
def unreal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Replace what torch does not support on the meta device."""
    autocast = torch.autocast

    def cast(kind: str, *more: Any, **named: Any) -> Any:
        return nullcontext() if kind == "meta" else autocast(kind, *more, **named)

    def noise(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return torch.empty(images.shape, device=images.device)

    monkeypatch.setattr(torch, "autocast", cast)
    # Reads the standard deviation of the weights, once at the start of a training.
    monkeypatch.setattr("nas.tasks.methods.cps._reinitialize", lambda module: None)
    for module in [m for name, m in sys.modules.items() if name.startswith("nas.tasks.") and hasattr(m, "noise_like")]:
        monkeypatch.setattr(module, "noise_like", noise)
    yield


@pytest.mark.parametrize("candidate", CASES, ids=lambda c: f"{c.method!r} {c.decoder!r} {c.norm} {c.loss!r}"[:90])
def test_a_step_stays_on_its_device_and_reads_nothing_from_it(candidate: Recipe, unreal: None) -> None:
    data = SimpleNamespace(
        classes=tuple("abcd"),
        labelled=split(5, True),
        unlabelled=split(9, False),
        validation=split(4, True),
        shifted=False,
    )
    training = Training(candidate, data, Plan(2, (2,), 0, "meta"))  # type: ignore[arg-type]
    batches = training._batches()
    training.network.train()
    for step in range(2):
        training._step(next(batches), step)
    logits = training._predictor().eval()(torch.empty(2, 3, 32, 48, device="meta"))
    assert logits.device.type == "meta" and logits.shape == (2, 4, 32, 48)


def test_the_meta_device_detects_reads_and_tensors_of_other_devices() -> None:
    x = torch.ones(3, device="meta")
    with pytest.raises((RuntimeError, NotImplementedError)):
        x.sum().item()
    with pytest.raises(RuntimeError, match="device"):
        x + torch.ones(3)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can reset the peak of a process")
def test_memory_held_from_earlier_work_does_not_count() -> None:
    from nas.training.memory import peak_megabytes, reset_peak

    cpu = torch.device("cpu")
    reset_peak(cpu)
    before = peak_megabytes(cpu)
    kept = torch.ones(25_000_000)
    assert peak_megabytes(cpu) - before == pytest.approx(100, abs=20)
    reset_peak(cpu)
    assert peak_megabytes(cpu) - before == pytest.approx(0, abs=20)
    del kept
    reset_peak(cpu)
    new = torch.ones(10_000_000)
    assert peak_megabytes(cpu) - before == pytest.approx(40, abs=20)
    del new


def test_the_gpu_is_initialized_before_its_peak_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.training.memory import reset_peak

    called: list[str] = []
    monkeypatch.setattr(torch.cuda, "init", lambda: called.append("init"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: called.append("reset"))
    reset_peak(torch.device("cuda", 0))
    assert called == ["init", "reset"]


def test_a_torch_build_without_gpu_support_gets_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.controller.work import _check_device
    from nas.errors import UserError

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="cannot use the GPU: install a build that can, or train on the CPU by hiding"):
        _check_device("cuda:0")
    _check_device("cpu")
