"""Detection of GPUs by nvidia-smi, torch and CUDA_VISIBLE_DEVICES."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nas.pool import visible_gpus

LISTING = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1111)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-2222)
  MIG 1g.10gb     Device  0: (UUID: MIG-3333)
"""


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake nvidia-smi on a PATH with only the shell's tools."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] || exit 2\ncat <<'END'\n{LISTING}END\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tool


def test_all_listed_gpus_are_used_and_mig_devices_instead_of_their_card(smi: Path) -> None:
    assert visible_gpus() == ["0", "MIG-3333"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", ["1"]),
        ("2, 0", ["2", "0"]),
        ("MIG-3333", ["MIG-3333"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["0"]),
        ("NoDevFiles", []),
        ("none", []),
    ],
)
def test_the_variable_selects_gpus(smi: Path, monkeypatch: pytest.MonkeyPatch, value: str, expected: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_gpus() == expected


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert visible_gpus() == []


@pytest.mark.parametrize(("value", "expected"), [(None, ["0", "1"]), ("1", ["1"]), ("", [])])
def test_without_nvidia_smi_torch_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str | None, expected: list[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if value is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert visible_gpus() == expected


def test_a_broken_driver_means_no_gpu(smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert visible_gpus() == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert visible_gpus() == []
