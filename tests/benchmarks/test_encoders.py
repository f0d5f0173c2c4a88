"""benchmarks.encoders: its recipes, its rows, and the intervals of its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from benchmarks import encoders
from benchmarks.encoders import COLUMNS, RATES, RECIPES, Cell, recipe_of, train_cell
from benchmarks.training.encoder_table import COMPARED, differences, write_table
from nas import ClassMix, Supervised, Timm
from nas.search_spaces.multitask import unet


def block(recipes: list[str], seeds: int) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = [(recipe, seed, 0.3 + 0.05 * rng.random()) for recipe in recipes for seed in range(seeds)]
    return pd.DataFrame(rows, columns=["recipe", "seed", "test"])


def test_one_comparison_has_the_interval_of_a_paired_t_test() -> None:
    rows = block(["mobilenet", "mobilenet-random"], 4)
    scores = rows.pivot(index="seed", columns="recipe", values="test")
    expected = ttest_rel(100 * scores["mobilenet"], 100 * scores["mobilenet-random"]).confidence_interval()
    ((mean, half),) = differences(rows, "test").values()
    assert (mean - half, mean + half) == pytest.approx((expected.low, expected.high))


def test_more_comparisons_have_wider_intervals_of_the_same_width() -> None:
    found = differences(block(list(RECIPES), 3), "test")
    assert set(found) == {(one, other) for one, others in COMPARED.items() for other in others}
    assert len({half for _, half in found.values()}) == 1
    alone = differences(block(["mobilenet", "unet"], 2), "test")
    assert np.isfinite(next(iter(alone.values()))[1])
    assert np.isnan(next(iter(differences(block(["mobilenet", "unet"], 1), "test").values()))[1])


def test_recipes() -> None:
    def made(name: str) -> object:
        return recipe_of(Cell(name, 0.1, "1/8", "96x128", 345, 0))

    assert made("unet") == unet
    assert made("mobilenet").encoder == Timm("mobilenetv2_100", "imagenet", rate=0.1)
    assert made("lite0-random").encoder == Timm("tf_efficientnet_lite0", None, rate=0.1)
    assert isinstance(made("lite0").method, Supervised) and isinstance(made("lite0-classmix").method, ClassMix)


def test_a_row_is_trained_and_a_table_written(tmp_path: Path) -> None:
    cell = Cell("unet", 1.0, "8", "16x24", 2, 0)
    row = train_cell(cell, "scenes")
    assert 0 <= row["search_val"] <= 1 and 0 <= row["test"] <= 1
    other = {**row, "recipe": "mobilenet", "rate": RATES["mobilenet"], "test": row["test"] + 0.1}
    unused = {**other, "rate": 0.77}
    chosen = {**other, "seed": 3}
    out = tmp_path / "encoders.csv"
    pd.DataFrame([row, other, unused, chosen], columns=COLUMNS).to_csv(out, index=False)
    text = write_table(out, RATES)
    assert "| mobilenet above unet | +0.0 | +10.0 |" in text
    assert text.count("| mobilenet | 1 |") == 1
    assert out.with_suffix(".md").read_text() == text


def test_the_command_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--data", "scenes", "--weights-dir", "/nowhere"]):
        with pytest.raises(SystemExit) as ended:
            encoders.main(arguments)
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert "give --data" in error or "there is no such folder" in error
