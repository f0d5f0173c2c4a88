"""Searches over pretrained encoders, as typed: what they leave needs neither files of weights nor a network."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nas
from nas.export import load_checkpoint
from nas.models import Encoder, Stage, UNet, build_network
from nas.record import records
from nas.space import Recipe
from nas.weights_folder import NAS_WEIGHTS
from tests.pretrained import OPERATORS, TINY, import_or_skip
from tests.shell import Shell

timm = import_or_skip("timm")

SET = ("--data", "scenes", "--size", "32x48", "--steps", "6", "--final-steps", "0", "--best", "1", "--repeats", "1")
ALONE = (*SET, "--workers", "1", "--budget", "2", "--folds", "0")

SPACE = """
from nas import *

space = Recipe(
    encoder={encoder},
    decoder=FPN(width=8),
    loss=CrossEntropy(),
    method={method},
    optimizer=Adam(lr=1e-9),
    schedule=Poly(),
    augment=Augment(),
    labelled_batch=2,
    unlabelled_batch=2,
)
"""


@pytest.fixture(autouse=True)
def workers_import_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(OPERATORS), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.delenv(NAS_WEIGHTS, raising=False)


def write(shell: Shell, name: str, encoder: str, method: str = "Supervised()") -> str:
    (shell.folder / name).write_text(SPACE.format(encoder=encoder, method=method))
    return name


def test_a_search_from_weights_to_an_export(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a learning rate of nothing the exported encoder holds the weights that it started from."""
    folder = shell.folder / "weights"
    folder.mkdir()
    torch.manual_seed(5)
    state = timm.create_model(TINY).state_dict()
    torch.save(state, folder / "tiny.pth")
    space = write(shell, "space.py", f"Timm({TINY!r}, 'tiny.pth', rate=Float(0.1, 1.0), frozen=Choice(0, 2))")
    ended = shell.run("search", "--space", space, *ALONE, "--weights-dir", "weights", "--name", "a")
    assert ended.returncode == 0, ended.stderr
    log = (shell.folder / "runs/a/search.log").read_text()
    assert f"{TINY} starts from {folder / 'tiny.pth'}" in log
    assert NAS_WEIGHTS not in os.environ

    for file in folder.iterdir():
        file.unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    best = shell.folder / "runs/a/best.safetensors"
    network = nas.load(best)
    for name, parameter in network.encoder.body.named_parameters():
        torch.testing.assert_close(parameter, state[name], atol=1e-6, rtol=0)
    assert shell.run("evaluate", str(best), "--split", "validation").returncode == 0
    exported = shell.run("export", str(best), "--format", "pt2", "--out", "out.pt2")
    assert exported.returncode == 0, exported.stderr

    again = write(shell, "again.py", f"Timm({TINY!r}, 'runs/a')")
    ended = shell.run("search", "--space", again, *SET, "--workers", "1", "--budget", "1", "--name", "b")
    assert ended.returncode == 0, ended.stderr
    resumed = shell.run("search", "--resume", "runs/a", "--budget", "3")
    assert resumed.returncode == 2 and "there is no such file" in resumed.stderr


def tiny_weights(folder: Path) -> None:
    torch.manual_seed(5)
    torch.save(timm.create_model(TINY).state_dict(), folder / "tiny.pth")


CACHED = f"Timm({TINY!r}, 'tiny.pth', frozen=Choice('all', 'cached'))"


def test_a_search_on_cached_features(shell: Shell) -> None:
    """Two workers share the features; other methods train without them, and equal candidates are recognised."""
    tiny_weights(shell.folder)
    write(shell, "space.py", CACHED, method="Choice(Supervised(), CutMix())")
    options = ("--space", "space.py", *SET, "--workers", "2", "--budget", "4", "--folds", "0", "--name", "a")
    described = shell.run("search", "--space", "space.py", "--describe")
    assert 'candidates with Supervised; for the others frozen="cached" is the same' in " ".join(
        described.stdout.split()
    )
    ended = shell.run("search", *options)
    assert ended.returncode == 0, ended.stderr
    log = (shell.folder / "runs/a/search.log").read_text()
    assert 'frozen="cached": the features of images, and of 16 views of each labelled one' in log
    assert "Cached features take 0.0" in log
    run = nas.Run(shell.folder / "runs/a")
    trained = [record for record in records(run.study()) if record.costs_budget]
    # "cached" with CutMix is "all" with CutMix.
    assert len(trained) == 3 and "3 of 4 candidates were tried" in log
    cached = [r for r in trained if '"cached"' in r.candidate and '"Supervised"' in r.candidate]
    assert [r.number for r in trained if r.cached] == [r.number for r in cached] and len(cached) == 1
    assert "; 1 trained on cached features." in log
    assert not (shell.folder / "runs/a/cache").exists()


def test_a_final_training_at_full_size_on_cached_features(shell: Shell) -> None:
    tiny_weights(shell.folder)
    write(shell, "space.py", f"Timm({TINY!r}, 'tiny.pth', frozen='cached')")
    options = ("--data", "scenes", "--size", "48x64", "--search-size", "32x48", "--steps", "6", "--repeats", "1")
    ended = shell.run("search", "--space", "space.py", *options, "--workers", "1", "--budget", "1", "--name", "a")
    assert ended.returncode == 0, ended.stderr
    checkpoint = load_checkpoint(shell.folder / "runs/a")
    assert checkpoint.size == (48, 64) and checkpoint.metrics["test_miou"] > 0
    state = timm.create_model(TINY, features_only=True).state_dict()
    given = torch.load(shell.folder / "tiny.pth")
    for name in state.keys() & given.keys():
        assert torch.equal(checkpoint.network.encoder.body.state_dict()[name], given[name]), name


def damaged(folder: Path) -> None:
    (folder / "w.pth").write_bytes(b"not weights at all")


def with_code(folder: Path) -> None:
    torch.save(nn.Linear(2, 2), folder / "w.pth")


def of_another(folder: Path) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), folder / "w.pth")


def empty(folder: Path) -> None:
    (folder / "w.pth").touch()


def pointer(folder: Path) -> None:
    (folder / "w.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0a1b\nsize 12345\n")


def a_folder(folder: Path) -> None:
    (folder / "w.pth").mkdir()


def another_run(folder: Path) -> None:
    """The checkpoint of a network with an encoder of its own."""
    (folder / "w.pth").mkdir()
    recipe = Recipe(Encoder((Stage(width=4),)), UNet())
    save_file(build_network(recipe, 2).state_dict(), folder / "w.pth" / "best.safetensors")


@pytest.mark.parametrize(
    ("encoder", "prepare", "message"),
    [
        (f"Timm({TINY!r}, 'w.pth')", pointer, "w.pth is a pointer of Git LFS"),
        (f"Timm({TINY!r}, 'w.pth')", a_folder, "is 'w.pth', a folder without best.safetensors"),
        (f"Timm({TINY!r}, 'w.pth')", another_run, "w.pth/best.safetensors does not fit Timm"),
        ("Pretrained(Encoder(), 'w.pth', optional=True)", empty, "w.pth is empty"),
        ("Timm('resnet1888')", None, "timm has no such network, did you mean"),
        (f"Timm(Choice('resnet1888', {TINY!r}))", None, "timm has no such network, did you mean"),
        (f"Timm({TINY!r}, 'w.pth')", None, "there is no such file"),
        (f"Timm({TINY!r}, Choice(None, 'w.pth'))", damaged, "w.pth is damaged"),
        (f"Choice(Timm({TINY!r}, 'w.pth'), Timm({TINY!r}))", with_code, "w.pth holds pickled Python objects"),
        (f"Timm({TINY!r}, 'w.pth')", of_another, "w.pth does not fit Timm"),
        (f"Timm({TINY!r}, frozen='most')", None, "encoder.frozen (Timm.frozen) is 'most'"),
        ("Pretrained(Encoder())", None, "is no ResNet of torchvision"),
    ],
)
def test_unusable_encoders_are_refused_before_anything_is_written(
    shell: Shell, encoder: str, prepare, message: str
) -> None:
    if prepare:
        prepare(shell.folder)
    ended = shell.run("search", "--space", write(shell, "space.py", encoder), *ALONE)
    assert ended.returncode == 2
    assert message in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert not (shell.folder / "runs").exists()


def test_networks_without_their_imagenet_weights_are_left_out(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = shell.folder / "weights"
    folder.mkdir()
    torch.save(timm.create_model(TINY).state_dict(), folder / f"{TINY}.pth")
    encoder = f"Choice(Timm({TINY!r}, 'imagenet', rate=Float(0.1, 1.0)), Timm('test_resnet', 'imagenet'))"
    baselines = f"""
from dataclasses import replace
here = replace(space, encoder=Timm({TINY!r}, 'imagenet'))
gone = replace(space, encoder=Timm('test_resnet', 'imagenet'))
space = replace(space, baselines=(gone, here))
"""
    (shell.folder / "space.py").write_text(SPACE.format(encoder=encoder, method="Supervised()") + baselines)
    options = ("--space", "space.py", *SET, "--folds", "0", "--workers", "1", "--name", "a")
    refused = shell.run("search", *options, "--budget", "3")
    assert refused.returncode == 2 and "cannot be downloaded" in refused.stderr
    assert not (shell.folder / "runs").exists()

    ended = shell.run("search", *options, "--budget", "3", "--weights-dir", "weights")
    assert ended.returncode == 0, ended.stderr
    log = (shell.folder / "runs/a/search.log").read_text()
    assert "Left out for lack of ImageNet weights: test_resnet and the baseline gone." in log
    assert "test_resnet.r160_in1k.safetensors and put it into" in log
    trained = [record for record in records(nas.Run(shell.folder / "runs/a").study()) if record.costs_budget]
    assert len(trained) == 3 and trained[0].name == "here"
    assert all(TINY in record.candidate and "test_resnet" not in record.candidate for record in trained)

    torch.save(timm.create_model("test_resnet").state_dict(), folder / "test_resnet.pth")
    resumed = shell.run("search", "--resume", "runs/a", "--budget", "4")
    assert resumed.returncode == 0, resumed.stderr
    assert "The ImageNet weights of test_resnet are there now: start a new run" in resumed.stdout
    (folder / f"{TINY}.pth").unlink()
    resumed = shell.run("search", "--resume", "runs/a", "--budget", "5")
    assert resumed.returncode == 2 and f"the ImageNet weights of {TINY} cannot be downloaded" in resumed.stderr


@pytest.mark.parametrize(("name", "message"), [("nowhere", "there is no such folder"), ("file", "it is a file")])
def test_a_weights_folder_that_is_none(shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    (shell.folder / "file").touch()
    ended = shell.run("search", "--space", str(shell.space), *ALONE, "--weights-dir", name)
    assert ended.returncode == 2 and f"--weights-dir {name}: {message}" in ended.stderr
    monkeypatch.setenv(NAS_WEIGHTS, name)
    space = write(shell, "space.py", f"Timm({TINY!r}, 'w.pth')")
    ended = shell.run("search", "--space", space, *ALONE)
    assert ended.returncode == 2 and f"NAS_WEIGHTS is {name}: {message}" in ended.stderr
    assert not (shell.folder / "runs").exists()


def test_without_a_network_a_search_says_what_to_download(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    space = write(shell, "space.py", "Timm('resnet26', 'imagenet')")
    ended = shell.run("search", "--space", space, *ALONE)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "the ImageNet weights of resnet26 cannot be downloaded (Network is unreachable): get https://" in line
    assert not (shell.folder / "runs").exists()
