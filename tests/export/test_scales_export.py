"""Checkpoints and exports of a network with multi-scale inputs, at even and odd sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.export import export, load, save_checkpoint
from nas.models import DeepLabv2, Encoder, Plain, Stage, UNet, build_network
from nas.space import Recipe
from nas.tasks import MLMT, Supervised


def saved(folder: Path, size: tuple[int, int], decoder: Any, method: Any) -> tuple[Path, Any]:
    """A checkpoint and its network."""
    stages = tuple(Stage(Plain(convs=1), width) for width in (4, 6))
    recipe = Recipe(Encoder(stages), decoder, scales=(0.5, 0.75, 1.0), method=method)

    class Data:
        classes, scale = ("a", "b", "c"), None

        class labelled:  # noqa: N801
            images = np.zeros((1, *size, 3), np.uint8)

    torch.manual_seed(0)
    network = method.inference(build_network(recipe, 3))
    with torch.no_grad():
        network.train()(torch.rand(2, 3, *size))  # running statistics matter
    save_checkpoint(folder / "net.safetensors", network.eval(), recipe, Data(), {}, {})  # type: ignore[arg-type]
    return folder / "net.safetensors", network


@pytest.mark.parametrize(
    ("size", "decoder", "method", "sizes"),
    [
        # The stride is 2, and 3/4 of a side must be a multiple of it.
        ((16, 24), UNet(block=Plain(convs=1)), Supervised(), "multiples of 8, from 16 up"),
        ((21, 30), DeepLabv2(rates=(1, 2)), MLMT(), "3 x 21 x 30"),
    ],
    ids=["even", "odd with a veto"],
)
@torch.no_grad()
def test_a_checkpoint_and_its_exports_agree(
    tmp_path: Path, size: tuple[int, int], decoder: Any, method: Any, sizes: str
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    path, network = saved(tmp_path, size, decoder, method)
    images = torch.rand(3, 3, *size)
    expected = network(images)
    assert torch.equal(load(path)(images), expected)
    pt2 = export(path, "pt2")
    assert sizes in pt2.note
    program = torch.export.load(pt2.file).module()
    for each in (images, torch.rand(1, 3, 16, 16), torch.rand(2, 3, 32, 40))[: 3 if "multiples" in sizes else 1]:
        torch.testing.assert_close(program(each), network(each), rtol=1e-4, atol=1e-4)
    done = export(path, "onnx")
    session = onnxruntime.InferenceSession(done.file.read_bytes(), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-4, atol=1e-4)
    assert "| scales | `(0.5, 0.75, 1.0)` |" in done.card.read_text()
