"""benchmarks.training_speed: what it compares, and the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks import training_speed
from benchmarks.training_speed import Data, train_unet
from nas.models.encoders import EncoderNet
from nas.training import Plan
from nas.training.compute import autocast, memory_layout

ROOT = Path(__file__).parents[2]


def test_defaults_are_contiguous_and_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(network: torch.nn.Module, images: tuple[torch.Tensor, ...]) -> None:
        cast = torch.is_autocast_enabled("cpu")
        seen.append((network.training, images[0].is_contiguous(memory_format=torch.channels_last), cast))

    monkeypatch.setattr("nas.training.compute._has_bfloat16", lambda device: True)
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, args: spy(module, args) if isinstance(module, EncoderNet) else None
    )
    try:
        for defaults in (True, False):
            train_unet("batch", defaults, Data(None, "1/8", "32x32").load(), Plan(1, (1,)))
    finally:
        hook.remove()
    # A training step and an evaluation each; the evaluation is always in full precision.
    assert seen == [(True, False, False), (False, False, False), (True, True, True), (False, True, False)]
    assert training_speed.train.__globals__["autocast"] is autocast
    assert training_speed.train.__globals__["memory_layout"] is memory_layout


@pytest.mark.slow
def test_command_line(tmp_path: Path) -> None:
    table = tmp_path / "speed.csv"
    options = ["--norm", "batch", "group", "--size", "32x32", "--out", str(table)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training_speed", *options], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(table).set_index("norm")
    assert list(rows.index) == ["batch", "group"]
    assert rows["times_faster"].tolist() == pytest.approx((rows["default_step_s"] / rows["step_s"]).tolist(), rel=0.1)
    assert "times_faster" in done.stdout and (rows["peak_mb"] > 0).all()


def test_missing_data_is_an_error_with_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["training_speed", "--data", "camvid:/nowhere"])
    with pytest.raises(SystemExit) as ended:
        training_speed.main()
    assert ended.value.code == 2
    assert "/nowhere" in capsys.readouterr().err.splitlines()[-1]
