"""benchmarks.methods: paired differences, missing cells, costs, and the command line."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.methods import Cell, main, missing
from benchmarks.training.method_costs import measure
from benchmarks.training.method_recipes import METHODS, recipe
from benchmarks.training.method_table import paired, write_tables
from nas import Supervised
from nas.space import from_json, to_json
from nas.training import cost

ROOT = Path(__file__).parents[2]
CAMVID = ROOT.parent / "shared" / "data" / "camvid"


def cells(**tests: list[float]) -> pd.DataFrame:
    rows = [
        {"method": method, "labels": "1/8", "seed": seed, "steps": 9, "size": "8x8", "test": test, "search_val": test}
        for method, scores in tests.items()
        for seed, test in enumerate(scores)
    ]
    return pd.DataFrame(rows).assign(seconds=1.0, peak_mb=2.0)


def test_differences_are_paired_by_seed() -> None:
    supervised, cutmix = [0.30, 0.33, 0.35], [0.34, 0.36, 0.40]
    table = cells(supervised=supervised, cutmix=cutmix).sample(frac=1, random_state=0)
    row = paired(table).set_index("method").loc["cutmix"]
    expected = stats.ttest_rel(cutmix, supervised).confidence_interval(0.95)
    assert row["test_difference"] == pytest.approx(100 * np.mean(np.subtract(cutmix, supervised)))
    assert row["test_difference"] - row["test_interval"] == pytest.approx(100 * expected.low, abs=0.02)
    assert row["test_difference"] + row["test_interval"] == pytest.approx(100 * expected.high, abs=0.02)


def test_unpaired_seeds_are_left_out_of_the_difference() -> None:
    table = cells(supervised=[0.30], cutmix=[0.34, 0.90])
    row = paired(table).set_index("method").loc["cutmix"]
    assert row["test_difference"] == pytest.approx(4.0)
    assert math.isnan(row["test_interval"])


def test_tables_are_written_beside_the_cells(tmp_path: Path) -> None:
    path = tmp_path / "methods.csv"
    cells(supervised=[0.3, 0.3], jigsaw=[0.31, 0.33]).to_csv(path, index=False)
    text = write_tables(path, 9, "8x8")
    assert "| 1/8 | jigsaw | 2 | 32.0 | +2.0 ± 12.7 | 32.0 | +2.0 ± 12.7 |" in text and "56.2" in text
    assert path.with_suffix(".md").read_text() == text
    assert "plotly" in path.with_suffix(".html").read_text()


def test_recorded_cells_are_not_missing(tmp_path: Path) -> None:
    requested = [Cell("supervised", "1/8", seed, 9, "8x8") for seed in range(3)]
    path = tmp_path / "methods.csv"
    assert missing(requested, path) == requested
    cells(supervised=[0.3, 0.3]).to_csv(path, index=False)
    assert missing(requested, path) == requested[2:]
    assert missing([Cell("supervised", "1/8", 0, 10, "8x8")], path)


def test_every_method_trains_the_same_network() -> None:
    assert len({cost(replace(recipe(name), method=Supervised())) for name in METHODS}) == 1
    assert len({to_json(recipe(name)) for name in METHODS}) == len(METHODS) == 16
    assert all(from_json(to_json(recipe(name))) == recipe(name) for name in METHODS)


def test_costs_are_relative_to_a_supervised_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.training.method_costs.ROUNDS", 1)
    table = measure(["cutmix"], "16x24").set_index("method")
    assert table["time_ratio"].iloc[0] == table["memory_ratio"].iloc[0] == 1
    assert (table[["step_s", "peak_mb"]] > 0).all().all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--method", "magic"], "magic"), ([], "--data"), (["--data", "nowhere"], "nowhere"), (["--size", "9"], "9")],
)
def test_bad_input_is_an_error_with_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NAS_CAMVID", raising=False)
    monkeypatch.setattr(sys, "argv", ["methods", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "NAS_CAMVID"}
    command = [sys.executable, "-m", "benchmarks.methods", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300)


@pytest.mark.slow
@pytest.mark.skipif(not CAMVID.is_dir(), reason="no CamVid beside the project")
def test_command_line(tmp_path: Path) -> None:
    out = tmp_path / "methods.csv"
    asked = ["--method", "supervised", "mean_teacher", "--labels", "1/32", "--seed", "0", "--steps", "3"]
    ended = typed(*asked, "--size", "24x32", "--data", str(CAMVID), "--out", str(out))
    assert ended.returncode == 0, ended.stderr
    table = pd.read_csv(out)
    assert sorted(table["method"]) == ["mean_teacher", "supervised"]
    assert table["test"].between(0, 1).all() and (table["seconds"] > 0).all()
    assert "| 1/32 | mean_teacher | 1 |" in ended.stdout
