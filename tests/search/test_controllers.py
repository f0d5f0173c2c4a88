"""The replay of tables: read right, counted right, the same for every sampler."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from benchmarks.controllers import main, replay
from benchmarks.tables import Table, folder_of_tables, load_table
from nas.errors import UserError
from nas.search.samplers import make_sampler

optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [(a, b, c) for a, b, c in itertools.product(range(3), range(3), "xyz") if (a, b) != (0, 0)]
    frame = pd.DataFrame(rows, columns=["c0", "c1", "c2"])
    frame["score"] = frame["c0"] * 10.0 + frame["c1"] + (frame["c2"] == "y")
    frame["loss_0"], frame["loss_1"] = frame["score"], frame["score"] + 1.0
    frame.to_csv(tmp_path / "small.csv", index=False)
    return tmp_path


def test_a_table_is_read_with_its_targets(folder: Path) -> None:
    table = load_table(folder / "small.csv")
    assert table.values == {"c0": [0, 1, 2], "c1": [0, 1, 2], "c2": ["x", "y", "z"]}
    assert len(table.scores) == 24 and (0, 0, 0) not in table.scores
    assert table.scores[2, 1, 1] == 22.0
    assert table.mark == 23.0
    assert table.regret(23.0) == 0.0
    assert table.regret(float(table.sorted_scores[12])) == 1.0
    assert load_table(folder / "small.csv", "loss").scores[2, 1, 1] == 22.5


@pytest.mark.parametrize("name", ["random", "local", "surrogate"])
def test_invalid_combinations_are_failures_that_do_not_count(folder: Path, name: str) -> None:
    found = replay(make_sampler(name, 0), load_table(folder / "small.csv"), 20)
    assert len(found.scores) == 20
    assert len(found.asking) == 20 + found.invalid


def test_workers_overlap_and_the_clock_tells() -> None:
    keys = list(itertools.product(range(4), repeat=2))
    values = {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3]}
    table = Table("t", values, frozenset(["b"]), {k: float(sum(k)) for k in keys}, dict.fromkeys(keys, 10.0))
    alone = replay(make_sampler("random", 0), table, 12, workers=1)
    four = replay(make_sampler("random", 0), table, 12, workers=4)
    assert alone.simulated == [10.0 * (i + 1) for i in range(12)]
    assert four.simulated == [10.0] * 4 + [20.0] * 4 + [30.0] * 4
    assert table.distributions()["b"] == optuna.distributions.IntDistribution(0, 3)


def test_a_table_of_nothing_valid_ends() -> None:
    table = Table("t", {"a": [0, 1]}, frozenset(), {}, {})
    assert replay(make_sampler("random", 0), table, 3).scores == []


def test_the_command_prints_and_writes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "rows.csv"
    for seed in "01":
        call = ["--tables", str(folder), "--table", "small.csv", "--sampler", "random", "--seed", seed]
        main([*call, "--evaluations", "30", "--out", str(out)])
    rows = pd.read_csv(out)
    assert rows["seed"].tolist() == [0, 1]
    assert (rows["evaluations"] == 30).all()
    assert {"commit", "device", "date", "versions"} <= set(rows)
    assert np.isfinite(rows["regret_25"]).all()
    assert "| random |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tables", "/nowhere", "--table", "small.csv"], "/nowhere is not a folder"),
        (["--tables", "{}", "--table", "other.csv"], "there is no table"),
        (["--tables", "{}", "--table", "small.csv", "--target", "joy"], "small.csv has no column joy"),
        (["--tables", "{}"], "give --table FILE, or --all"),
        (["--tables", "{}", "--table", "small.csv", "--sampler", "magic"], "there is no such sampler"),
    ],
)
def test_mistakes_get_a_line(folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([a.format(folder) for a in arguments])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_the_folder_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_BENCH_TABLES", str(tmp_path))
    assert folder_of_tables(None) == tmp_path
    monkeypatch.delenv("NAS_BENCH_TABLES")
    with pytest.raises(UserError, match="give --tables DIR or set NAS_BENCH_TABLES"):
        folder_of_tables(None)
