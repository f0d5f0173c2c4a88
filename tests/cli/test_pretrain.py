"""nas-pretrain as typed: what it prints and leaves, searches from its weights, interrupts, and bad input."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import nas
from nas.weights_folder import NAS_WEIGHTS
from tests.photos import draw_photos
from tests.pretrained import TINY, import_or_skip
from tests.shell import Shell, kill, wait_until

DATA = ("--data", "folder:photos")
SHORT = (*DATA, "--space", "small.py", "--steps", "12", "--batch", "6", "--pretext", "Rotation,Denoising:0.5")

SPACE = """
from nas import *
from dataclasses import replace
{space}
space = replace(first, {use}, decoder=FPN(width=8), optimizer=Adam(lr=1e-12))
"""


@pytest.fixture(autouse=True)
def no_weights_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAS_WEIGHTS, raising=False)


@pytest.fixture
def here(shell: Shell) -> Shell:
    draw_photos(shell.folder / "photos")
    return shell


def refused(shell: Shell, *args: str) -> str:
    """The only line of a command that refuses its input and writes nothing."""
    before = sorted(shell.folder.rglob("*"))
    ended = shell.run("pretrain", *args)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Traceback" not in ended.stderr
    assert sorted(shell.folder.rglob("*")) == before
    line = ended.stderr.splitlines()[-1]
    assert line.startswith("nas-pretrain: error: ")
    return line


def test_a_pretraining_says_what_it_does_and_what_to_paste(here: Shell) -> None:
    ended = here.run("pretrain", *SHORT, "--labels", "4", "--folds", "0")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    begin = (
        "Pretraining the encoder of first (small.py) on folder:photos at 24x32: 4 labelled images (without their masks)"
    )
    assert lines[0].startswith(begin)
    assert "held out. Not used: " in lines[0] and lines[0].endswith("for testing.")
    assert lines[1] == "12 steps of 6 images, divided among the tasks (and their weights): Rotation 1, Denoising 0.5."
    assert any(line.split()[:2] == ["Rotation", "1"] and line.endswith("(chance 0.25)") for line in lines)
    assert any(line.split()[:2] == ["Denoising", "0.5"] and "chance" not in line for line in lines)
    assert lines[-1] == (
        "In a space, for the encoder of first (small.py): "
        'encoder=Pretrained(first.encoder, weights="runs/pretrain-1"), norm="batch"'
    )
    assert (here.folder / "runs" / "pretrain-1" / "pretrain.log").read_text().count("\n") == len(lines)
    assert here.run("pretrain", *SHORT).stdout.splitlines()[-1].endswith('weights="runs/pretrain-2"), norm="batch"')


def test_a_search_starts_from_the_weights(here: Shell) -> None:
    """The last line is pasted into a space. At a learning rate of nothing, a search exports the same encoder."""
    ended = here.run("pretrain", *SHORT)
    assert ended.returncode == 0, ended.stderr
    use = ended.stdout.splitlines()[-1].partition(": ")[2]
    (here.folder / "pasted.py").write_text(SPACE.format(use=use, space=here.space.read_text()))
    once = ("--budget", "1", "--best", "1", "--repeats", "1", "--workers", "1", "--final-steps", "0")
    search = here.run("search", "--space", "pasted.py", *DATA, "--steps", "3", "--name", "search", *once)
    assert search.returncode == 0, search.stderr
    assert "starts from runs/pretrain-1/best.safetensors" in search.stdout
    learnt = load_file(here.folder / "runs" / "pretrain-1" / "best.safetensors")
    for name, parameter in nas.load(here.folder / "runs" / "search").encoder.body.named_parameters():
        torch.testing.assert_close(parameter, learnt[f"encoder.{name}"], atol=1e-6, rtol=0)


def test_a_timm_encoder_starts_from_a_file_and_gives_weights(here: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    timm = import_or_skip("timm")
    (here.folder / "weights").mkdir()
    torch.manual_seed(3)
    before = timm.create_model(TINY).state_dict()
    torch.save(before, here.folder / "weights" / "tiny.pth")
    ended = here.run(
        "pretrain", *SHORT, "--encoder", TINY, "--weights", "tiny.pth", "--weights-dir", "weights", "--batch", "4"
    )
    assert ended.returncode == 0, ended.stderr
    assert f"{TINY} starts from {here.folder / 'weights' / 'tiny.pth'}." in ended.stdout.splitlines()
    assert NAS_WEIGHTS not in os.environ
    monkeypatch.chdir(here.folder)
    use = ended.stdout.splitlines()[-1].partition(": encoder=")[2]
    net = eval(use, {"Timm": nas.Timm}).build(lambda channels: torch.nn.BatchNorm2d(channels))
    net.load_weights()
    learnt = load_file("runs/pretrain-1/best.safetensors")
    assert {f"encoder.body.{name}" for name in net.body.state_dict()} == set(learnt)
    moved = 0
    for name, tensor in net.body.state_dict().items():
        assert torch.equal(tensor, learnt[f"encoder.body.{name}"])
        if tensor.is_floating_point() and "running" not in name:
            moved += not torch.equal(tensor, before[name])
            torch.testing.assert_close(tensor, before[name], atol=0.05, rtol=0.05)
    assert moved > 10


def test_an_interrupted_pretraining_continues_to_the_same_file(here: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in this process: sums over more threads round differently
    whole = here.run("pretrain", *SHORT, "--steps", "100", "--name", "whole")
    assert whole.returncode == 0, whole.stderr
    process = here.start("pretrain", *SHORT, "--steps", "100", "--name", "part")
    part = here.folder / "runs" / "part"
    wait_until(lambda: (part / "unfinished.pt").exists())
    kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()[-1]) == (130, "nas-pretrain: interrupted")
    assert out.endswith("Stopped. Resume with: nas-pretrain --resume runs/part\n")
    assert not (part / "best.safetensors").exists()
    refusal = here.run("pretrain", "--resume", "runs/part", "--steps", "9", "--name", "other")
    assert (refusal.returncode, refusal.stdout) == (2, "")
    assert "--steps cannot change when a pretraining is resumed" in refusal.stderr

    resumed = here.run("pretrain", "--resume", "runs/part")
    assert resumed.returncode == 0, resumed.stderr
    assert "Continuing after step " in resumed.stdout
    for file in ("best.safetensors", "pretraining.csv", "pretrain.json"):
        assert (part / file).read_bytes() == (part.parent / "whole" / file).read_bytes(), file
    assert not (part / "unfinished.pt").exists()
    again = here.run("pretrain", "--resume", "runs/part")
    assert again.returncode == 2 and "runs/part is finished: use it as weights" in again.stderr


def test_other_images_are_refused_when_it_is_resumed(here: Shell) -> None:
    assert here.run("pretrain", *SHORT, "--name", "one").returncode == 0
    (here.folder / "runs" / "one" / "best.safetensors").unlink()
    next((here.folder / "photos" / "images").glob("photo_z*.png")).unlink()
    ended = here.run("pretrain", "--resume", "runs/one")
    assert ended.returncode == 2
    assert "photos does not hold the images that runs/one began with" in ended.stderr
    ended = here.run("pretrain", "--resume", "photos")
    assert ended.returncode == 2 and "photos is not a pretraining: it has no readable pretrain.json" in ended.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--encoder", "frist"), "small.py has no such baseline (first; did you mean first), and "),
        (("--pretext", "Rotatoin"), "there is no such task, did you mean Rotation"),
        (("--pretext", "Rotation:0"), "every weight is 0"),
        (("--steps", "5"), "--steps 5: give 10 or more"),
        (("--steps", "0"), "--steps 0: give 1 or more"),
        (("--batch", "0"), "--batch 0: give a whole number of 1 or more"),
        (("--space", "none.py"), "none.py: there is no such file"),
        (("--data", "photos"), "there is no kind 'photos' (for your own images: folder:photos)"),
        (("--data", "folder:few"), "too few to pretrain on: add photos, without masks, to 20 or more in all"),
        (("--weights", "gone.pth"), "Pretrained.weights is 'gone.pth': there is no such file"),
        (("--weights-dir", "gone"), "--weights-dir gone: there is no such folder"),
        (("--name", "a/b"), "give a plain name"),
        (("--name", ".."), "give a plain name"),
        (("--seed", "-1"), "--seed -1: give 0 or more"),
        (("--device", "tpu"), "device 'tpu' is unknown: use cpu or cuda"),
        (("--size", "tall"), "'tall' is not a size"),
        (("--resume", "runs/none", "--batch", "3"), "cannot change when a pretraining is resumed"),
        (("stray",), "unexpected extra argument (stray)"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(here: Shell, args: tuple[str, ...], message: str) -> None:
    draw_photos(here.folder / "few", labelled=8, unlabelled=3)
    assert message in refused(here, *SHORT, *args)


def test_a_taken_name_and_a_folder_that_cannot_be_written(here: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    (here.folder / "runs" / "one").mkdir(parents=True)
    assert "runs/one exists already" in refused(here, *SHORT, "--name", "one")
    monkeypatch.setattr("nas.runs.run.os.access", lambda path, mode: False)
    assert "cannot be written, but the run becomes a folder in it" in refused(here, *SHORT)


BROKEN = """
from dataclasses import dataclass, replace as replaced

@dataclass(frozen=True)
class Half(Rotation):
    def make_batch(self, images, generator):
        raise ValueError("half of it is missing")

space = replaced(space, pretext=Mix(Half()))
"""


def test_a_task_that_fails_is_named_with_its_place(here: Shell) -> None:
    (here.folder / "broken.py").write_text(here.space.read_text() + BROKEN)
    line = refused(here, *DATA, "--space", "broken.py", "--steps", "12")
    assert "the encoder of first (broken.py) cannot be trained: ValueError: half of it is missing (" in line
    assert "broken.py:" in line


def test_a_pretraining_that_diverges_leaves_nothing(here: Shell) -> None:
    text = here.space.read_text().replace("optimizer=Adam(lr=5e-3)", "optimizer=Adam(lr=1e30)")
    (here.folder / "wild.py").write_text(text)
    ended = here.run("pretrain", *SHORT, "--space", "wild.py")
    assert ended.returncode == 2
    assert "the pretraining diverges: loss." in ended.stderr and ended.stderr.count("\n") == 1
    assert list((here.folder / "runs").iterdir()) == []


def test_a_pretrained_encoder_is_no_network(here: Shell) -> None:
    assert here.run("pretrain", *SHORT).returncode == 0
    for command in ("evaluate", "export"):
        ended = here.run(command, "runs/pretrain-1")
        assert ended.returncode == 2
        assert "holds a pretrained encoder, not a whole network: search with it, as weights=" in ended.stderr


def test_few_labels_alone_are_enough_with_a_hint(here: Shell, tmp_path: Path) -> None:
    draw_photos(here.folder / "masked", labelled=30, unlabelled=0)
    ended = here.run("pretrain", *SHORT, "--data", "folder:masked")
    assert ended.returncode == 0, ended.stderr
    assert "There are no unlabelled images: photos without masks would help." in ended.stdout
    assert "A search ranks on folds of the labelled images" in ended.stdout
