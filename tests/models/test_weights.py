"""Files of pretrained weights: found, read without running code, and refused with the first difference."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nas.errors import UserError
from nas.models import Timm
from nas.models.weights import read_weights
from nas.weights_folder import NAS_WEIGHTS, weights_from
from tests.pretrained import TINY, import_or_skip

timm = import_or_skip("timm")

State = dict[str, torch.Tensor]


def state() -> State:
    return timm.create_model(TINY, num_classes=7).state_dict()


def in_wrapper(path: Path, tensors: State) -> None:
    torch.save({"state_dict": {f"module.{name}": t for name, t in tensors.items()}, "epoch": 3}, path)


def under_other_names(path: Path, tensors: State) -> None:
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in tensors))
    torch.save({f"m{modules.index(n.rpartition('.')[0])}.{n.rpartition('.')[2]}": t for n, t in tensors.items()}, path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("w.safetensors", lambda path, tensors: save_file(tensors, path)),
        ("w.pth", lambda path, tensors: torch.save(tensors, path)),
        ("w.pth", in_wrapper),
        ("w.pth", lambda path, tensors: torch.save({f"encoder.{n}": t for n, t in tensors.items()}, path)),
        ("w.pth", lambda path, tensors: torch.save({n: t for n, t in tensors.items() if "classifier" not in n}, path)),
    ],
)
def test_forms_of_files(tmp_path: Path, name: str, write: Callable[[Path, State], None]) -> None:
    """The head, here of seven classes, is left out."""
    tensors = state()
    write(tmp_path / name, tensors)
    net = Timm(TINY, name).build(nn.Identity)  # type: ignore[arg-type]
    with weights_from(tmp_path):
        net.load_weights()
    for key, tensor in net.body.state_dict().items():
        assert torch.equal(tensor, tensors[key]), key


def test_other_names_in_the_same_order(tmp_path: Path) -> None:
    tensors = {name: t for name, t in state().items() if "classifier" not in name}
    under_other_names(tmp_path / "w.pth", tensors)
    net = Timm(TINY, str(tmp_path / "w.pth")).build(nn.Identity)  # type: ignore[arg-type]
    net.load_weights()
    assert all(torch.equal(t, tensors[k]) for k, t in net.body.state_dict().items() if "num_batches" not in k)


@pytest.mark.parametrize("name", [f"{TINY}.r160_in1k.safetensors", f"{TINY}.safetensors"])
def test_imagenet_weights_are_found_in_the_folder(tmp_path: Path, name: str) -> None:
    tensors = state()
    save_file(tensors, tmp_path / name)
    with weights_from(tmp_path):
        net = Timm(TINY, "imagenet").build(nn.Identity)  # type: ignore[arg-type]
        net.load_weights()
        assert str(tmp_path / name) in str(Timm(TINY, "imagenet").weights_note())
    assert torch.equal(net.body.conv_stem.weight, tensors["conv_stem.weight"])  # type: ignore[union-attr, arg-type]


class Code:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


def damage(path: Path) -> None:
    torch.save(state(), path)
    path.write_bytes(path.read_bytes()[:5000])


def of_another_network(path: Path) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), path)


def of_another_width(path: Path) -> None:
    tensors = state()
    torch.save(tensors | {"conv_stem.weight": torch.zeros(8, 3, 3, 3)}, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (damage, "is damaged, or no file of weights"),
        (lambda path: path.write_bytes(b"\x00" * 99), "is damaged, or no file of weights"),
        (lambda path: path.write_text("weights"), "is damaged, or no file of weights"),
        (lambda path: torch.save({"state_dict": Code()}, path), "holds pickled Python objects"),
        (lambda path: torch.save(nn.Linear(2, 2), path), "holds pickled Python objects"),
        (lambda path: torch.save([1, 2], path), "holds no state dict"),
        (of_another_network, "does not fit Timm"),
        (of_another_width, r"conv_stem.weight is 8x3x3x3, not 24x3x3x3"),
    ],
)
def test_unusable_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "w.pth")
    with pytest.raises(UserError, match=message) as refused:
        Timm(TINY, "w.pth").check_weights()
    assert "w.pth" in str(refused.value) and "\n" not in str(refused.value)
    assert not (tmp_path / "ran").exists()


def test_a_damaged_safetensors_file(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes((tmp_path / "w.safetensors").read_bytes()[:5000])
    with pytest.raises(UserError, match="is damaged"):
        read_weights(tmp_path / "w.safetensors")


def test_a_missing_file_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAS_WEIGHTS, raising=False)
    with pytest.raises(UserError, match=r"name the folder by --weights-dir or NAS_WEIGHTS"):
        Timm(TINY, "gone.pth").check_weights()
    with weights_from(tmp_path), pytest.raises(UserError, match=f"put it into {tmp_path}"):
        Timm(TINY, "gone.pth").check_weights()
    with pytest.raises(UserError, match="--weights-dir nowhere: there is no such folder"), weights_from("nowhere"):
        pass
    assert NAS_WEIGHTS not in os.environ


def test_without_a_network_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("Network is unreachable")

    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with weights_from(tmp_path), pytest.raises(UserError) as refused:
        Timm("resnet26", "imagenet").check_weights()
    assert "Network is unreachable" in str(refused.value)
    assert "https://huggingface.co/timm/resnet26.bt_in1k/resolve/main/model.safetensors" in str(refused.value)
    assert f"resnet26.bt_in1k.safetensors and put it into {tmp_path}" in str(refused.value)
