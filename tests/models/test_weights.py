"""Files of pretrained weights: found, read without running code, and refused with the first difference."""

from __future__ import annotations

import os
import pickle
import random
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from nas.errors import UserError
from nas.models import Encoder, Pretrained, Stage, Timm, UNet, build_network
from nas.models.weights import read_weights
from nas.space import Recipe
from nas.weights_folder import NAS_WEIGHTS, weights_from
from tests.pretrained import FAMILIES, TINY, import_or_skip

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


def compressed(path: Path) -> None:
    torch.save({name: t.to_sparse() if t.ndim else t for name, t in state().items()}, path)


def diverged(path: Path) -> None:
    torch.save({name: t / 0 if t.is_floating_point() else t for name, t in state().items()}, path)


def scripted(path: Path) -> None:
    """What torch takes for TorchScript, which newer versions do not write any more."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("constants.pkl", "data.pkl", "version"):
            archive.writestr(f"w/{name}", b"3\n")


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0a1b\nsize 12345\n"
PAGE = "\n<!DOCTYPE html>\n<html><head><title>Not found</title></head></html>\n"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (Path.touch, "is empty: copy it again"),
        (lambda path: path.write_text(POINTER), "is a pointer of Git LFS"),
        (lambda path: path.write_text(PAGE), "is a web page"),
        (scripted, "is a TorchScript archive: save the model's"),
        (lambda path: path.write_bytes(pickle.dumps(Code())), "holds pickled Python objects"),
        (lambda path: torch.save({1: torch.ones(2)}, path), "holds no state dict"),
        (compressed, "conv_stem.weight holds no plain numbers"),
        (diverged, "conv_stem.weight holds values that are not finite"),
        (lambda path: path.write_text("junk"), "is damaged, or no file of weights"),
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


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_whatever_is_damaged_the_error_is_one_line(tmp_path: Path, suffix: str) -> None:
    """Bytes are changed and the end is cut off, at random."""
    path = tmp_path / f"w{suffix}"
    tensors = {"a.weight": torch.ones(20), "a.bias": torch.zeros(2)}
    torch.save(tensors, path)
    zipped = path.read_bytes()
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    wholes = [zipped, path.read_bytes(), save(tensors), pickle.dumps(tensors)]
    rng = random.Random(0)
    refused = 0
    for i in range(200):
        damaged = bytearray(wholes[i % len(wholes)])
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged[: rng.randint(0, len(damaged))] if rng.random() < 0.5 else damaged)
        try:
            read_weights(path)
        except UserError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / f"w{suffix}"
    path.touch()
    monkeypatch.setattr(Path, "open", refuse)  # the superuser may read anything
    with pytest.raises(UserError, match=rf"{path} cannot be read: Permission denied"):
        read_weights(path)


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


@pytest.mark.parametrize("given", [5, True, ""])
def test_weights_that_are_no_path(given: Any) -> None:
    for part in (Timm(TINY, given), Pretrained(Encoder(), given), Pretrained(Encoder(), given, optional=True)):
        with pytest.raises(UserError, match=rf"\.weights is {given!r}: give the path of a file"):
            part.check_weights()


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a folder without best\.safetensors: give a file, or a run that has ended"):
        Timm(TINY, str(tmp_path)).check_weights()


def test_a_weights_folder_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the weights are optional: they must not be left out for a slip in the name of the folder."""
    parts = (Timm(TINY, "w.pth"), Timm(TINY, "imagenet"), Pretrained(Encoder(), "w.pth", optional=True))
    (tmp_path / "file").touch()
    for name, message in (("gone", "there is no such folder"), ("file", "it is a file, not a folder")):
        folder = str(tmp_path / name)
        with pytest.raises(UserError, match=f"--weights-dir {folder}: {message}"), weights_from(folder):
            pass
        monkeypatch.setenv(NAS_WEIGHTS, folder)
        for part in parts:
            with pytest.raises(UserError, match=f"NAS_WEIGHTS is {folder}: {message}"):
                part.check_weights()
    monkeypatch.setenv(NAS_WEIGHTS, "~nobody-of-that-name")
    with pytest.raises(UserError, match="NAS_WEIGHTS is ~nobody-of-that-name: there is no such folder"):
        parts[0].check_weights()


def test_an_encoder_of_another_run_is_refused_by_its_own_layers(tmp_path: Path) -> None:
    """The decoder beside it in the checkpoint is not compared."""
    recipe = Recipe(Encoder((Stage(width=4),)), UNet())
    save_file(build_network(recipe, 2).state_dict(), tmp_path / "best.safetensors")
    with pytest.raises(UserError, match=r"does not fit Timm.*: stages\.0\.0\.0\.0 \(4x3x3x3\) stands where") as refused:
        Timm(TINY, str(tmp_path)).check_weights()
    assert "decoder" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_classifier_of_other_classes_gives_its_features(tmp_path: Path, name: str) -> None:
    """Its head is left out, whatever the family calls it."""
    torch.manual_seed(0)
    whole = timm.create_model(name, num_classes=7).eval()
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    net = Timm(name, str(tmp_path / "w.safetensors")).build(nn.Identity).eval()  # type: ignore[arg-type]
    net.load_weights()
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        features = net(images)
        wanted = whole.forward_intermediates(images, intermediates_only=True)
    for feature, other in zip(features, wanted[-len(features) :], strict=True):
        torch.testing.assert_close(feature, other, rtol=1e-3, atol=1e-4)


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
