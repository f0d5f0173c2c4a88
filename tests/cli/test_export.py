"""nas-export as typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from nas.cli.export import main


def test_a_run_in_another_format(trained, typed, tmp_path) -> None:
    ended = typed(main, trained.parent, "--format", "pt2", "--out", tmp_path / "net.pt2")
    assert (ended.code, ended.err) == (0, "")
    file, note, card = ended.out.splitlines()
    assert file.startswith(f"{tmp_path / 'net.pt2'} (0.")
    assert "multiples of 4" in note
    assert card == f"{tmp_path / 'net.pt2.md'}: model card"
    assert torch.export.load(tmp_path / "net.pt2").module()(torch.rand(1, 3, 32, 48)).shape == (1, 4, 32, 48)


def test_a_name_without_a_suffix_is_a_folder(trained, typed, tmp_path) -> None:
    assert typed(main, trained, "--out", tmp_path / "exports").code == 0
    assert {p.name for p in (tmp_path / "exports").iterdir()} == {"best.safetensors", "best.safetensors.md"}


def test_a_copy_loads(trained, typed, tmp_path) -> None:
    assert typed(main, trained, "--out", tmp_path / "copy.safetensors").code == 0
    import nas

    images = torch.rand(1, 3, 20, 30)
    copy = nas.load(tmp_path / "copy.safetensors")
    assert torch.equal(copy(images), nas.load(trained)(images))


def test_as_a_process(tmp_path) -> None:
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-m", "nas.cli.export", str(tmp_path)], capture_output=True, text=True, cwd=root
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        f"nas-export: error: {tmp_path} has no best.safetensors: give a run that has ended, or a checkpoint file\n"
    )


def test_mistakes_are_one_line(trained, typed, tmp_path) -> None:
    for args in (
        ["none.safetensors"],
        [trained, "--format", "tflite"],
        [trained, "--format", "onnx", "--out", tmp_path / "a.pt2"],
        [trained, "--space", tmp_path / "none.py"],
        [],
    ):
        ended = typed(main, *args)
        assert ended.code == 2
        assert ended.err.startswith("nas-export: error: ") and ended.err.count("\n") == 1
