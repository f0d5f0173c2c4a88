"""benchmarks.stopping: replays computed by hand, and the command."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.stopping import Curves, End, load_curves, main, measure, replay
from nas.stopping import make_rule

NAN = float("nan")


def test_replay_of_halving_with_four_candidates() -> None:
    scores = np.array([[0.5, 0.6, 0.7], [0.4, 0.5, 0.9], [0.3, 0.9, 0.9], [0.8, NAN, NAN]])
    ends = replay(make_rule("halving", (1, 3, 9), 0), scores, budget=10)
    # Two pass without comparison, the third is stopped at step 1, the fourth diverges by step 3.
    assert [(e.cost * 9, e.complete) for e in ends] == [(9, True), (18, True), (19, False), (22, False)]
    assert [e.score for e in ends[:2]] == [0.7, 0.9]


def test_replay_resumes_promoted_candidates_before_new_ones() -> None:
    early = (0.5, 0.4, 0.1, 0.9, 0.45, 0.3)
    ends = replay(make_rule("promotion", (1, 4), 0), np.array([(score, score) for score in early]), budget=20)
    # The first two pass without comparison. Two of six pass, 0 and 3; 4 was once second of five, when one passed.
    assert [(end.number, end.complete) for end in ends] == [
        (0, True),
        (1, True),
        (2, False),
        (3, True),
        (4, False),
        (5, False),
    ]
    early = (0.1, 0.2, 0.9, 0.8, 0.3, 0.3)
    ends = replay(make_rule("promotion", (1, 4), 0), np.array([(score, score) for score in early]), budget=20)
    # 3 is second of four and is stopped. It is resumed after 1 of its 4 steps, when two of six pass.
    assert [(end.number, end.complete) for end in ends][3:] == [(3, False), (4, False), (5, False), (3, True)]
    assert ends[-1].cost == 3 + 3 * 0.25 + 0.75


def test_parallel_workers_share_the_budget() -> None:
    scores = np.ones((10, 2))
    ends = replay(make_rule("none", (1, 4), 0), scores, budget=4, workers=2)
    assert ends == [End(0, 2.0, 1.0, True), End(1, 2.0, 1.0, True), End(2, 4.0, 1.0, True), End(3, 4.0, 1.0, True)]


def test_measure_of_no_stopping_is_random_search() -> None:
    final = np.random.default_rng(0).permutation(300) / 300
    curves = Curves("family", "task", (1, 4), np.stack([final, final], axis=1))
    row = measure("none", curves, seed=1)
    assert row["candidates"] == 100
    assert row["complete"] == 1.0
    assert row["cost_100_candidates"] == 100.0
    assert row["regret_100"] == row["regret_100_candidates"] <= row["regret_30"] <= row["regret_10"]
    assert curves.taus() == [pytest.approx(1.0)]


def test_missing_tables_are_reported_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(load_curves(tmp_path)) == []
    assert capsys.readouterr().out.count("does not exist: left out") == 2
    with pytest.raises(SystemExit):
        main(["--tables", str(tmp_path)])


def test_command_writes_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    columns = {f"valid_loss_{rung}": rng.random(200) for rung in (6, 17, 50)}
    pd.DataFrame({"task": "one", **columns}).to_parquet(tmp_path / "taskset_rnn.parquet")
    out = tmp_path / "out" / "stopping.csv"
    main(["--rule", "halving", "none", "--seeds", "2", "--workers", "1", "--tables", str(tmp_path), "--out", str(out)])
    rows = pd.read_csv(out)
    assert list(rows["rule"]) == ["halving", "halving", "none", "none"]
    assert (rows.loc[rows["rule"] == "none", "complete"] == 1).all()
    assert not math.isnan(rows["regret_30"].sum())
    assert "| halving |" in capsys.readouterr().out
    assert "| halving |" in out.with_suffix(".md").read_text()
