"""benchmarks.pretraining: paired differences, and the command."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.pretraining import COLUMNS, differences, main
from tests.photos import draw_photos


def test_differences_are_paired_by_seed() -> None:
    same = {"encoder": "fast", "data": "d", "labels": "1/8", "size": "8x8", "steps": 9}
    plain, learnt = [0.30, 0.33, 0.35], [0.32, 0.36, 0.39]
    rows = [
        {**same, "pretext": name, "pretext_steps": 0, "rate": 1.0, "seed": seed, "search_val": score, "test": 0.1}
        for name, scores in (("none", plain), ("all", learnt))
        for seed, score in enumerate(scores)
    ]
    (row,) = differences(pd.DataFrame(rows).sample(frac=1, random_state=0)).to_dict("records")
    assert (row["pretext"], row["seeds"]) == ("all", 3)
    assert (row["search_val mean"], row["search_val std"]) == (pytest.approx(3.0), pytest.approx(1.0))
    assert row["test mean"] == 0


def test_a_measurement_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_photos(tmp_path / "photos")
    options = ["--data", "folder:photos", "--size", "24x32", "--labels", "6", "--steps", "2", "--pretext-steps", "10"]
    for seeds in (["0"], ["0", "1"]):
        main([*options, "--pretext", "Rotation", "--seed", *seeds, "--out", "rows.csv"])
    table = pd.read_csv("rows.csv")
    assert list(table) == COLUMNS
    assert list(zip(table["pretext"], table["seed"], strict=True)) == [
        *(("none", 0), ("Rotation", 0), ("none", 1), ("Rotation", 1)),
    ]
    assert [path.name for path in Path("runs").iterdir()] == ["benchmark_fast_Rotation_10"]
    assert "search_val mean" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*options, "--encoder", "nothing", "--out", "rows.csv"])
    assert "choose from unet, fast" in capsys.readouterr().err
