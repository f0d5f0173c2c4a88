"""Exported networks compute the original's logits, and failed exports leave no files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from nas.errors import UserError
from nas.export import convert as convert_module
from nas.export import export, load, load_checkpoint, model_card, predictor, save_checkpoint
from nas.models import UNet, build_network
from nas.space import Recipe
from nas.tasks.data.depth import PixelScale


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 24, 32, generator=torch.Generator().manual_seed(1))


def test_safetensors_is_copied(checkpoint, tmp_path) -> None:
    done = export(checkpoint, "safetensors", tmp_path / "new" / "net.safetensors")
    assert done.file.read_bytes() == checkpoint.read_bytes()
    assert done.card == tmp_path / "new" / "net.safetensors.md"


def test_by_default_a_run_gets_a_card_and_keeps_its_checkpoint(checkpoint) -> None:
    before = checkpoint.read_bytes()
    done = export(checkpoint.parent)
    assert (done.file, done.card) == (checkpoint, checkpoint.with_name("best.safetensors.md"))
    assert checkpoint.read_bytes() == before
    assert "| 1 | car | #00008e |" in done.card.read_text()


def test_pt2_accepts_any_batch_size_and_multiples_of_the_stride(pt2, checkpoint, images) -> None:
    model = torch.export.load(pt2.file).module()
    network = load(checkpoint)
    assert "multiples of 4, from 8 up" in pt2.note
    for batch in (images, images[:1], images[:, :, :8, :20], torch.rand(1, 3, 8, 8)):
        torch.testing.assert_close(model(batch), network(batch), rtol=1e-4, atol=1e-4)


def test_pt2_contains_metadata(pt2) -> None:
    extra = {"metadata.json": ""}
    torch.export.load(pt2.file, extra_files=extra)
    described = json.loads(extra["metadata.json"])
    assert json.loads(described["classes"]) == ["road", "car", "sky"]
    assert json.loads(described["preprocessing"])["resize"] == "squeeze"


def test_pt2_of_a_size_off_the_stride_accepts_only_that_size(tmp_path, network, recipe, data) -> None:
    class Odd:
        classes, palette = data.classes, data.palette
        labelled = type(data.labelled)(np.zeros((1, 21, 30, 3), np.uint8))

    save_checkpoint(tmp_path / "a.safetensors", network, recipe, Odd(), {}, {})
    done = export(tmp_path / "a.safetensors", "pt2")
    odd = torch.rand(3, 3, 21, 30)
    logits = torch.export.load(done.file).module()(odd)
    torch.testing.assert_close(logits, network(odd), rtol=1e-4, atol=1e-4)
    assert "3 x 21 x 30" in done.note


def test_onnxruntime_computes_the_same_logits(checkpoint, images) -> None:
    pytest.importorskip("onnx", reason="the onnx extra is not installed")
    pytest.importorskip("onnxscript", reason="the onnx extra is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    done = export(checkpoint, "onnx")
    assert {p.name for p in done.file.parent.iterdir()} == {"best.safetensors", "best.onnx", "best.onnx.md"}
    session = onnxruntime.InferenceSession(done.file.read_bytes())
    (logits,) = session.run(None, {"images": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), load(checkpoint)(images), rtol=1e-4, atol=1e-4)
    stored = session.get_modelmeta().custom_metadata_map
    assert json.loads(stored["classes"]) == ["road", "car", "sky"]


def test_onnx_without_its_extra_names_the_extra(checkpoint, monkeypatch) -> None:
    monkeypatch.setattr(convert_module, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=re.escape("pip install 'fewlabel-nas[onnx]'")):
        export(checkpoint, "onnx")
    assert not checkpoint.with_suffix(".onnx").exists()


def test_the_suffix_decides_the_format(checkpoint, tmp_path) -> None:
    export(checkpoint, out=tmp_path / "net.pt2")
    assert torch.export.load(tmp_path / "net.pt2")
    (tmp_path / "folder").mkdir()
    assert export(checkpoint, out=tmp_path / "folder").file == tmp_path / "folder" / "best.safetensors"


@pytest.mark.parametrize(
    ("format", "out", "expected"),
    [
        ("tflite", None, "use one of safetensors, onnx, pt2"),
        ("pt2", "net.onnx", "has the suffix of onnx"),
        ("pt2", "net.md", "model card"),
        (None, "net.pth", "use one of the suffixes .safetensors, .onnx, .pt2"),
    ],
)
def test_unusable_formats_are_refused(checkpoint, format, out, expected) -> None:
    with pytest.raises(UserError, match=expected):
        export(checkpoint, format, out)


@dataclass(frozen=True)
class BranchingUNet(UNet):
    """A decoder with a branch that depends on values, which cannot be exported."""

    def build(self, *args) -> nn.Module:
        net = super().build(*args)
        net.register_forward_hook(lambda _, __, out: out * 2 if out.sum() > 0 else out)
        return net


def test_a_network_that_cannot_be_exported_gets_a_one_line_error(tmp_path, recipe, data) -> None:
    branching = Recipe(recipe.encoder, BranchingUNet(block=recipe.decoder.block), "group")
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, build_network(branching, 3), branching, data, {}, {})
    with pytest.raises(UserError, match="cannot be exported to pt2") as caught:
        export(path, "pt2")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_an_export_with_other_logits_is_refused(checkpoint, images) -> None:
    network = load(checkpoint)
    logits = network(images)
    assert convert_module._difference(network, images, logits) == 0
    for wrong in (logits + 0.1 * logits.abs().max(), logits * float("nan")):
        with pytest.raises(UserError, match="not written"):
            convert_module._difference(network, images, wrong)


@pytest.mark.parametrize("scale", [PixelScale((0, 4095)), PixelScale((0, 4095), (0, 1)), PixelScale(None, (0, 1))])
def test_the_code_of_the_card_scales_deep_images_as_in_training(
    tmp_path, network, recipe, data, scale, monkeypatch
) -> None:
    class Deep:
        classes, palette, labelled = data.classes, data.palette, data.labelled

    Deep.scale = scale
    save_checkpoint(tmp_path / "a.safetensors", network, recipe, Deep(), {}, {})
    assert load_checkpoint(tmp_path / "a.safetensors").preprocessing.scale == scale
    rng = np.random.default_rng(0)
    deep = cv2.resize(rng.integers(0, 4000, (4, 6, 3)).astype(np.uint16), (100, 48), interpolation=cv2.INTER_LINEAR)
    if scale.whole is None:
        cv2.imwrite(str(tmp_path / "photo.tif"), (deep / 4095).astype(np.float32))
    else:
        cv2.imwrite(str(tmp_path / "photo.png"), deep)
    (photo,) = tmp_path.glob("photo.*")
    code = re.search(r"```python\n(.*?)```", export(tmp_path / "a.safetensors").card.read_text(), re.DOTALL)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    exec(code[1].replace("photo.jpg", photo.name), {})
    classes = cv2.imread("classes.png", cv2.IMREAD_UNCHANGED)
    assert len(np.unique(classes)) > 1
    assert (classes == predictor("a.safetensors").predict(photo)).mean() >= 0.999


def test_the_card_contains_scores_data_and_recipe(checkpoint, tmp_path, network, recipe, data) -> None:
    path: Path = tmp_path / "b.safetensors"
    provenance = {"data": {"spec": "camvid:/a|b", "labels": "1/8"}}
    save_checkpoint(path, network, recipe, data, {"validation_miou": 0.51239}, provenance)
    card = model_card(load_checkpoint(path), "b.safetensors", "safetensors")
    for line in ("| data.spec | camvid:/a\\|b |", "| data.labels | 1/8 |", "| validation_miou | 0.5124 |"):
        assert line in card.splitlines()
    assert "| norm | `switch` |" in card
