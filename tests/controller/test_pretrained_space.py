"""The shipped space of pretrained encoders: each network that it names is built and priced."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from nas.controller.starting_weights import check_weights, log_weights
from nas.models import Encoder, Timm
from nas.space import Recipe, close, draw, load_space
from nas.training import cost
from nas.weights_folder import weights_from
from tests.pretrained import MOBILENET, import_or_skip, real_weights

import_or_skip("timm")


def test_every_network_has_a_price() -> None:
    space = load_space("pretrained.py")
    assert len(space.baselines) == 5
    assert all(cost(baseline, (64, 64)).params < 20e6 for baseline in space.baselines)
    rng = random.Random(0)
    found: dict[str, Recipe] = {}
    for _ in range(60):
        candidate = close(space, draw(rng)).candidate()
        found.setdefault(getattr(candidate.encoder, "name", "own"), candidate)
    assert len(found) == 6
    assert all(cost(candidate, (64, 64)).params < 20e6 for candidate in found.values())
    assert isinstance(found["own"].encoder, Encoder)


@pytest.mark.mobilenet
def test_its_log_names_the_files(caplog: pytest.LogCaptureFixture) -> None:
    space = load_space("pretrained.py")
    file = real_weights(MOBILENET)
    one = replace(space.baselines[0], baselines=(space.baselines[2],))
    with weights_from(file.parent), caplog.at_level("INFO", "nas"):
        check_weights(one)
        log_weights(one)
    assert caplog.messages == [f"mobilenetv2_100 starts from {file}."]
    assert isinstance(one.encoder, Timm)


@pytest.mark.parametrize("name", ["deeplabv2", "deeplabv2_multiscale", "s4gan", "mlmt"])
def test_a_preset_says_what_it_starts_from(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    space = load_space(f"presets/{name}.py")
    with weights_from(tmp_path), caplog.at_level("INFO", "nas"):
        check_weights(space)
        log_weights(space)
        (tmp_path / "resnet101-63fe2227.pth").touch()
        log_weights(space)
    without, with_file = caplog.records
    assert without.levelname == "WARNING"
    assert "starts from random weights, since there is no file resnet101-*.pth" in without.message
    assert with_file.levelname == "INFO"
    assert with_file.message == f"The encoder starts from {tmp_path / 'resnet101-63fe2227.pth'}."
