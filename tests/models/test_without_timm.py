"""Where timm is not installed: one line, and everything that does not need it works."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.export import load, save_checkpoint
from nas.models import Encoder, Stage, Timm, UNet, build_network, timm_encoder
from nas.space import Recipe, load_space
from nas.tasks import Supervised
from tests.shell import ALONE, Shell


@pytest.fixture(autouse=True)
def no_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    timm_encoder._timm.cache_clear()
    timm_encoder._facts.cache_clear()


def test_an_encoder_says_what_to_install() -> None:
    with pytest.raises(UserError, match=r"needs the package timm .*pip install 'fewlabel-nas\[timm\]'"):
        Timm("resnet18").build(lambda channels: None)  # type: ignore[arg-type, return-value]


def test_a_search_is_refused_before_anything_is_written(shell: Shell) -> None:
    ended = shell.run("search", "--space", "pretrained.py", *ALONE)
    assert ended.returncode == 2
    assert "pip install 'fewlabel-nas[timm]'" in ended.stderr.splitlines()[-1]
    assert not (shell.folder / "runs").exists()


def test_a_space_is_described(shell: Shell) -> None:
    ended = shell.run("search", "--space", "pretrained.py", "--describe")
    assert ended.returncode == 0
    assert "Norm: Timm encoders keep their own" in ended.stdout
    assert load_space("pretrained.py").baselines


def test_a_checkpoint_says_what_to_install(tmp_path: Path) -> None:
    class Data:
        classes, scale = ("a", "b"), None

        class labelled:  # noqa: N801
            images = np.zeros((1, 16, 24, 3), np.uint8)

    own = Recipe(Encoder((Stage(width=4),)), UNet(), method=Supervised())
    with_timm = replace(own, encoder=Timm("resnet18"))
    save_checkpoint(tmp_path / "a.safetensors", build_network(own, 2), with_timm, Data(), {}, {})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"a\.safetensors: Timm needs the package timm .*pip install"):
        load(tmp_path / "a.safetensors")
