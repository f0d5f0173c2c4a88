"""Exports of timm's encoders agree with PyTorch: `export` compares logits itself, and here a runtime does again."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.export import export, load, save_checkpoint
from nas.models import FPN, Timm, UNet, build_network
from nas.space import Recipe
from nas.tasks import Supervised
from nas.weights_folder import NAS_WEIGHTS
from tests.pretrained import FAMILIES, TINY, import_or_skip

import_or_skip("timm")

QUICK = ("test_efficientnet", "test_resnet")


class Data:
    classes = ("a", "b", "c")
    scale = None

    class labelled:  # noqa: N801
        images = np.zeros((1, 64, 96, 3), np.uint8)


def saved(folder: Path, name: str, decoder: Any, weights: str | None = None) -> Path:
    recipe = Recipe(Timm(name, weights), decoder, "group", method=Supervised())
    torch.manual_seed(0)
    net = build_network(recipe, 3)
    with torch.no_grad():  # so that running statistics matter
        net.train()(torch.rand(2, 3, 64, 96))
    path = folder / "net.safetensors"
    save_checkpoint(path, net.eval(), recipe, Data(), {}, {})  # type: ignore[arg-type]
    return path


def agrees(folder: Path, name: str, decoder: Any) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = saved(folder, name, decoder)
    images = torch.rand(3, 3, 64, 96)
    with torch.no_grad():
        expected = load(path)(images)
    program = torch.export.load(export(path, "pt2").file).module()
    torch.testing.assert_close(program(images), expected, rtol=1e-3, atol=1e-3)
    session = onnxruntime.InferenceSession(export(path, "onnx").file, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", QUICK)
def test_exports_agree(tmp_path: Path, name: str) -> None:
    agrees(tmp_path, name, FPN(width=8))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_exports_of_ten_families_agree(tmp_path: Path, name: str) -> None:
    agrees(tmp_path, name, UNet())


def test_images_are_normalised_as_the_weights_want_them(tmp_path: Path) -> None:
    net = load(saved(tmp_path, "tf_efficientnet_lite0", FPN(width=8)))
    assert net.mean.flatten().tolist() == [0.5, 0.5, 0.5]
    assert net.std.flatten().tolist() == [0.5, 0.5, 0.5]


def test_a_checkpoint_opens_without_timms_cache_or_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its encoder started from weights that timm downloads."""
    path = saved(tmp_path, TINY, FPN(width=8), "imagenet")

    def refuse(*args: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("HF_HUB_CACHE", "HF_HOME", "TORCH_HOME", NAS_WEIGHTS):
        monkeypatch.setenv(name, str(tmp_path / "gone"))
    with torch.no_grad():
        assert load(path)(torch.rand(1, 3, 32, 32)).shape == (1, 3, 32, 32)
