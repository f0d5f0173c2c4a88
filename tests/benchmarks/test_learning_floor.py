"""benchmarks.learning_floor: columns of the table, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.functional import jaccard_index

from benchmarks import learning_floor
from benchmarks.learning_floor import load, main, one_class_scores
from benchmarks.training.learning_floor_table import lengths
from nas.tasks.data import VOID, ImageSet


def trainings(scores: dict[int, list[float]], **columns: object) -> pd.DataFrame:
    """Rows of one cell, with a list of mIoU by seed for each length."""
    same = {"data": "d", "labels": 6, "recipe": "unet", "location": 0.2, "otsu": None, "step_core_s": 0.1}
    same |= {"curve": json.dumps(dict.fromkeys((5, 10, 20, 40), 0.5)), "one_class_until": 0, "above_location_at": 5}
    rows = [
        {**same, "steps": steps, "seed": seed, "miou": miou}
        for steps, by_seed in scores.items()
        for seed, miou in enumerate(by_seed)
    ]
    return pd.DataFrame(rows).assign(**columns)


def test_shortest_lengths() -> None:
    rows = trainings({40: [0.25, 0.25], 80: [0.1, 0.2], 160: [0.3, 0.3], 320: [0.58, 0.58], 640: [0.7, 0.5]})
    (row,) = lengths(rows).to_dict("records")
    assert row["learns"] == 160 and row["near"] == 320 and row["seeds"] == 2
    assert row["80"] == pytest.approx(0.15) and row["640"] == pytest.approx(0.6)
    (row,) = lengths(rows.assign(otsu=0.4)).to_dict("records")
    assert row["learns"] == 320
    (row,) = lengths(rows.assign(otsu=0.9)).to_dict("records")
    assert pd.isna(row["learns"])


def test_first_steps_are_those_of_the_slowest_seed() -> None:
    rows = trainings({20: [0.3, 0.3], 40: [0.3, 0.3]}, one_class_until=[0, 20, 10, 5], above_location_at=[9, 9, 10, 20])
    (row,) = lengths(rows).to_dict("records")
    assert row["varied"] == 20 and row["above"] == 20
    (row,) = lengths(trainings({40: [0.3, 0.3]}, one_class_until=40, above_location_at=[5, None])).to_dict("records")
    assert pd.isna(row["varied"]) and pd.isna(row["above"])


def test_one_class_scores_match_torchmetrics() -> None:
    masks = np.random.default_rng(0).choice([0, 1, 3, VOID], size=(2, 6, 5)).astype(np.uint8)
    split = ImageSet(np.zeros((2, 6, 5, 3), np.uint8), masks, ("a", "b"))
    found = one_class_scores(split, 4)
    truth = torch.from_numpy(masks).long()
    for kind in range(4):
        iou = jaccard_index(
            torch.full_like(truth, kind), truth, "multiclass", num_classes=4, average="none", ignore_index=VOID
        )
        present = {0, 1, 3, kind}
        assert found[kind] == pytest.approx(float(iou[sorted(present)].mean()), abs=1e-6)


def test_training_validation_and_test_images_differ() -> None:
    data = load("shapes", None, 6, 1)
    names = [set(split.names) for split in (data.labelled, data.validation, data.test)]
    assert len(set().union(*names)) == sum(map(len, names)) and len(data.labelled) == 6 and len(data.unlabelled) == 0
    assert data.size == (48, 64)


def test_command_trains_missing_cells_and_writes_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(learning_floor, "VALIDATION_IMAGES", 3)
    monkeypatch.setattr(learning_floor, "TEST_IMAGES", 4)
    monkeypatch.setattr(learning_floor, "PIXELS", 16 * 24)
    table = tmp_path / "floor.csv"
    options = ["--data", "textures", "--labels", "2", "--recipe", "fast", "--seed", "0", "--out", str(table)]
    for steps in (["1"], ["1", "6"]):
        main([*options, "--steps", *steps])
    assert capsys.readouterr().out.count("steps 1,") == 1
    rows = pd.read_csv(table)
    assert rows["steps"].tolist() == [1, 6]
    assert set(json.loads(rows["curve"][1])) == {"5", "6"}
    assert "| textures | 2 | fast | 1 |" in table.with_suffix(".md").read_text()
    main(["--report", "--out", str(table)])
    assert len(pd.read_csv(table)) == 2


def test_missing_data_is_an_error_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, said in ((["--data", "camvid:/nowhere"], "/nowhere"), (["--report"], "there are no results in")):
        with pytest.raises(SystemExit) as refused:
            main([*options, "--steps", "1", "--labels", "2", "--out", str(tmp_path / "floor.csv")])
        assert refused.value.code == 2 and said in capsys.readouterr().err
