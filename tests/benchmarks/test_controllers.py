"""benchmarks.controllers and nasbench201: tables, replays, peers and reports."""

from __future__ import annotations

import importlib.util
import itertools
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

from benchmarks import nasbench201
from benchmarks.controllers import Job, main, measure, replay
from benchmarks.sampling.controller_table import MARKS, RANKED, paired, summary
from benchmarks.sampling.peers import PEERS, ExhaustedError, make_peer
from benchmarks.sampling.searchers import default_samplers, make_searcher
from benchmarks.sampling.tables import Combination, Table, TableOptions, load_table, tables_folder
from nas.errors import UserError

optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [(a, b, c) for a, b, c in itertools.product(range(3), range(3), "xyz") if (a, b) != (0, 0)]
    frame = pd.DataFrame(rows, columns=["c0", "c1", "c2"])
    frame["score"] = frame["c0"] * 10.0 + frame["c1"] + (frame["c2"] == "y")
    frame["loss_0"], frame["loss_1"] = frame["score"], frame["score"] + 1.0
    frame.to_csv(tmp_path / "small.csv", index=False)
    for name, text in {
        "text.csv": "c0,score\n1,high\n2,low\n",
        "void.csv": "c0,score\n1,\n2,inf\n",
        "empty.csv": "",
        "header.csv": "c0,score\n",
        "broken.parquet": "no table",
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_load_table(folder: Path) -> None:
    table = load_table(folder / "small.csv")
    assert table.values == {"c0": [0, 1, 2], "c1": [0, 1, 2], "c2": ["x", "y", "z"]}
    assert len(table.scores) == 24 and (0, 0, 0) not in table.scores
    assert table.scores[2, 1, 1] == 22.0
    assert table.top_score == 23.0
    assert table.regret(23.0) == 0.0
    assert table.regret(float(table.sorted_scores[12])) == 1.0
    assert load_table(folder / "small.csv", "loss").scores[2, 1, 1] == 22.5


def test_load_table_with_options(tmp_path: Path) -> None:
    frame = pd.DataFrame({"width": [4, 8, 4, 8], "act": ["relu", None, None, "relu"], "err": [0.3, 0.1, 0.2, None]})
    frame.to_parquet(tmp_path / "mine.parquet")
    table = load_table(tmp_path / "mine.parquet", "err", TableOptions("width|act", "width", minimise=True))
    assert table.values == {"width": [4, 8], "act": [None, "relu"]}
    assert table.ordered == {"width"}
    assert table.scores == {(0, 1): -0.3, (1, 0): -0.1, (0, 0): -0.2}
    assert table.rank(-0.1) == 1 and table.regret(-0.1) == 0.0


def test_regret_is_finite_if_half_of_the_table_is_best(tmp_path: Path) -> None:
    pd.DataFrame({"c0": [0, 1, 2], "score": [1.0, 1.0, 0.5]}).to_csv(tmp_path / "flat.csv", index=False)
    table = load_table(tmp_path / "flat.csv")
    assert (table.regret(1.0), table.regret(0.5)) == (0.0, 0.5)


class Scripted:
    """Proposes given combinations and records their scores."""

    def __init__(self, *combinations: Combination) -> None:
        self.left, self.told = list(combinations), []

    def ask(self) -> tuple[Combination, Any]:
        if not self.left:
            raise ExhaustedError
        return self.left[0], self.left.pop(0)

    def tell(self, handle: Any, score: float | None) -> None:
        self.told.append((handle, score))


def installed(name: str) -> str:
    """Return the sampler's name; skip the test if its package is not installed."""
    if importlib.util.find_spec(PEERS[name]) is None:
        pytest.skip(f"the package {PEERS[name]} is not installed")
    return name


def hill(ordered: frozenset[str] = frozenset(["b", "d"])) -> Table:
    """Table of 625 combinations, whose score is the sum of the indices."""
    values: dict[str, list[Any]] = {"a": list("vwxyz"), "b": [1, 2, 4, 8, 16], "c": list("vwxyz"), "d": [1, 2, 3, 4, 5]}
    keys = list(itertools.product(range(5), repeat=4))
    return Table("hill", values, ordered, {key: float(sum(key)) for key in keys})


def test_replay_reports_scores_and_invalid_combinations() -> None:
    table = Table("t", {"a": [0, 1, 2]}, frozenset(), {(0,): 3.0, (2,): 5.0})
    searcher = Scripted((1,), (2,), (1,), (0,), (2,))
    found = replay(searcher, table, 3)
    assert searcher.told == [((1,), None), ((2,), 5.0), ((1,), None), ((0,), 3.0), ((2,), 5.0)]
    assert found.scores == [5.0, 3.0, 5.0] and found.invalid == 2
    assert replay(Scripted((2,), (0,)), table, 3).scores == [5.0, 3.0]


@pytest.mark.parametrize("name", ["random", "local", "surrogate", "evolution", "tpe"])
def test_invalid_combinations_do_not_count(folder: Path, name: str) -> None:
    table = load_table(folder / "small.csv")
    found, again = (replay(make_searcher(name, table, 0), table, 20) for _ in range(2))
    assert len(found.scores) == 20
    assert len(found.proposal_seconds) == 20 + found.invalid
    assert found.scores == again.scores


@pytest.mark.parametrize("name", PEERS)
def test_peers_are_deterministic(folder: Path, name: str) -> None:
    table = load_table(folder / "small.csv")
    found, again = (replay(make_searcher(installed(name), table, 1, 12), table, 12) for _ in range(2))
    assert len(found.scores) == 12
    assert len(found.proposal_seconds) == 12 + found.invalid
    assert found.scores == again.scores


@pytest.mark.parametrize(
    ("name", "evaluations"), [("neps:evolution", 130), ("syne:evolution", 190), ("syne:evolution20", 130)]
)
def test_evolution_of_a_peer_improves(name: str, evaluations: int) -> None:
    table = hill()
    scores = replay(make_searcher(installed(name), table, 0, evaluations), table, evaluations).scores
    # A random search stays at 8, with a standard error of 0.7.
    assert np.mean(scores[-15:]) > 11.0


@pytest.mark.parametrize("name", ["syne:bore", "smac"])
def test_model_of_a_peer_finds_the_best_of_625(name: str) -> None:
    table = hill()
    # A random search finds it in 70 evaluations with probability 0.1; with the wrong sign it would never be found.
    assert max(replay(make_searcher(installed(name), table, 0, 70), table, 70).scores) == 16.0


@pytest.mark.parametrize("name", PEERS)
def test_missing_package_of_a_peer_is_an_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PEERS[name], None)
    with pytest.raises(UserError, match=f"{name} needs the package {PEERS[name]} .*benchmarks/requirements.txt"):
        make_peer(name, hill(), 0, 10)


def test_default_samplers_are_ours_and_the_installed_peers() -> None:
    names = default_samplers()
    assert names[:3] == ["surrogate", "local", "evolution"]
    assert {n for n in names if n in PEERS} == {n for n, p in PEERS.items() if importlib.util.find_spec(p) is not None}


def test_minimized_target(tmp_path: Path) -> None:
    frame = pd.DataFrame({"batch_size": [8, 8, 16, 16], "lr_schedule": ["a", "b"] * 2, "train_time_0": 1.0})
    frame["val_loss_0"], frame["val_loss_1"] = [0.4, 0.3, 0.2, 0.9], [0.6, 0.3, 0.2, 0.9]
    frame.to_csv(tmp_path / "fcnet_small.csv", index=False)
    table = load_table(tmp_path / "fcnet_small.csv")
    assert table.scores == pytest.approx({(0, 0): -0.5, (0, 1): -0.3, (1, 0): -0.2, (1, 1): -0.9})
    assert [table.rank(-loss) for loss in (0.2, 0.3, 0.5, 0.9)] == [1, 2, 3, 4]
    assert max(replay(make_searcher("random", table, 0), table, 40).scores) == pytest.approx(-0.2)


def test_parallel_workers_share_the_simulated_time() -> None:
    keys = list(itertools.product(range(4), repeat=2))
    values = {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3]}
    table = Table("t", values, frozenset(["b"]), {k: float(sum(k)) for k in keys}, dict.fromkeys(keys, 10.0))
    alone = replay(make_searcher("random", table, 0), table, 12, workers=1)
    four = replay(make_searcher("random", table, 0), table, 12, workers=4)
    assert alone.ended_at == [10.0 * (i + 1) for i in range(12)]
    assert four.ended_at == [10.0] * 4 + [20.0] * 4 + [30.0] * 4
    assert table.distributions()["b"] == optuna.distributions.IntDistribution(0, 3)


def test_replay_of_an_empty_table_ends() -> None:
    table = Table("t", {"a": [0, 1]}, frozenset(), {}, {})
    assert replay(make_searcher("random", table, 0), table, 3).scores == []


def test_command_prints_and_writes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_measure_matches_a_replay(folder: Path) -> None:
    path = folder / "small.csv"
    table = load_table(path)
    scores = replay(make_searcher("random", table, 4), table, 60, seed=4).scores
    row = measure(Job("random", path, None, seed=4, evaluations=60, workers=1))
    ordered = sorted(table.scores.values(), reverse=True)
    for mark in (10, 15, 25, 35, 50):
        assert row[f"regret_{mark}"] == pytest.approx((ordered[0] - max(scores[:mark])) / (ordered[0] - ordered[12]))
    assert row["rank_25"] == ordered.index(max(scores[:25])) + 1
    assert math.isnan(row["regret_70"]) and math.isnan(row["rank_100"])
    assert row["to_best_0.1%"] == (scores.index(ordered[0]) + 1 if ordered[0] in scores else 61)


def test_summary_matches_hand_computed_values() -> None:
    pairs = [("t", 0), ("t", 1), ("u", 0), ("u", 1)]
    base = {f"{what}_{mark}": 1.0 for what, marks in (("regret", MARKS), ("rank", RANKED)) for mark in marks}
    base |= {"to_best_0.1%": 7, "invalid": 0, "ask_seconds": 0.5, "slowest_ask_seconds": 2.0}
    rows = [
        {"sampler": "surrogate", "table": t, "seed": s, **base, "regret_50": r}
        for (t, s), r in zip(pairs, (1, 2, 3, 4), strict=True)
    ]
    rows += [
        {"sampler": "peer", "table": t, "seed": s, **base, "regret_50": r}
        for (t, s), r in zip(pairs[:3], (2, 2, 6), strict=True)
    ]
    means = summary(pd.DataFrame(rows)).set_index("sampler")
    # Student's t at 3 degrees of freedom is 3.182; the deviation of 1, 2, 3, 4 is the root of 5/3.
    assert means.loc["surrogate", "regret_50"] == 2.5
    assert means.loc["surrogate", "regret_50_interval"] == pytest.approx(3.182 * math.sqrt(5 / 3) / 2, rel=1e-3)
    assert means.loc["surrogate", ["rank_100", "rank_100_interval", "to_best_0.1%"]].tolist() == [1.0, 0.0, 7.0]
    (row,) = paired(pd.DataFrame(rows)).to_dict("records")
    # Over the three pairs that both have: 1, 0 and 3, whose deviation is the root of 7/3; t is 4.303.
    assert row["sampler"] == "peer" and row["pairs"] == 3
    assert row["regret_50"] == pytest.approx(4 / 3) and row["regret_100"] == 0.0
    assert row["regret_50_interval"] == pytest.approx(4.303 * math.sqrt(7 / 3) / math.sqrt(3), rel=1e-3)


def test_finished_searches_are_not_repeated_and_are_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame(list(itertools.product(range(4), repeat=3)), columns=["c0", "c1", "c2"])
    frame["test_acc_mean"] = frame.sum(axis=1) / 10
    frame.to_csv(folder / "nasbench_macro.csv", index=False)
    out = folder / "rows.csv"
    call = ["--tables", str(folder), "--all", "--sampler", "surrogate", "--sampler", "random", "--evaluations", "12"]
    main([*call, "--seeds", "1", "--out", str(out)])
    first = pd.read_csv(out)
    main([*call, "--seeds", "2", "--processes", "2", "--out", str(out)])
    rows = pd.read_csv(out)
    assert sorted(zip(rows["sampler"], rows["seed"], strict=True)) == [
        ("random", 0), ("random", 1), ("surrogate", 0), ("surrogate", 1)
    ]  # fmt: skip
    pd.testing.assert_frame_equal(rows.iloc[:2], first)
    main([*call, "--seeds", "2", "--out", str(out)])
    assert "nothing to do" in capsys.readouterr().out and len(pd.read_csv(out)) == 4
    main(["--report", "--evaluations", "12", "--out", str(out)])
    text = out.with_suffix(".md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == text.strip()
    (line,) = [
        line for line in text.split("minus that of surrogate")[1].split("by table")[0].splitlines() if "random" in line
    ]
    assert line.count("|") == 6 and line.endswith("| 2 |")
    assert "plotly" in out.with_suffix(".html").read_text(encoding="utf-8")
    main([*call, "--seeds", "1", "--workers", "3", "--out", str(out)])
    main(["--report", "--evaluations", "12", "--workers", "3", "--out", str(out)])
    assert "workers: 3" in (folder / "rows_3_workers.md").read_text(encoding="utf-8")
    assert out.with_suffix(".md").read_text(encoding="utf-8") == text


def test_file_with_other_columns_is_not_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "rows.csv"
    out.write_text("sampler,table\nrandom,small\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["--tables", str(folder), "--table", "small.csv", "--evaluations", "5", "--out", str(out)])
    assert "rows.csv has other columns than this version writes" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == "sampler,table\nrandom,small\n"


def test_nasbench201_search_matches_hand_computed_times() -> None:
    table = Table(
        "t", {"a": [0, 1, 2]}, frozenset(), {(0,): 1.0, (1,): 3.0, (2,): 9.0}, {(0,): 5.0, (1,): 4.0, (2,): 2.0}
    )
    searcher = Scripted((0,), (1,), (2,), (0,))
    assert nasbench201.search(searcher, table, limit=10.0) == nasbench201.Outcome((1,), 3.0, 2, 9.0)
    assert searcher.told == [((0,), 1.0), ((1,), 3.0)]
    assert nasbench201.search(Scripted((0,), (1,), (2,), (0,)), table, limit=11.0).best == (2,)
    repeated = nasbench201.search(Scripted((2,), (2,), (2,), (2,)), table, limit=6.0)
    assert (repeated.evaluations, repeated.seconds) == (3, 6.0)
    with pytest.raises(UserError, match="no training of t fits"):
        nasbench201.search(Scripted((0,)), table, limit=4.0)


def test_nasbench201_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow", reason="reads the table")
    frame = pd.DataFrame(list(itertools.product("ab", "ab")), columns=["op0", "op1"])
    frame["ep12_cifar10_val"] = [50.0, 60.0, 70.0, 80.0]
    frame["ep12_cifar10_cost_s"], frame["cifar10_train_time_s"] = 100.0, 2000.0
    for column, accuracy in zip(nasbench201.TESTS, (90.0, 70.0, 40.0), strict=True):
        frame[column] = accuracy + np.arange(4)
    frame.to_parquet(tmp_path / "nasbench201.parquet")
    out = tmp_path / "found.csv"
    call = ["--tables", str(tmp_path), "--sampler", "random", "--out", str(out)]
    nasbench201.main([*call, "--seeds", "1"])
    nasbench201.main([*call, "--seeds", "2"])
    rows = pd.read_csv(out)
    assert rows["seed"].tolist() == [0, 1]
    assert (rows["evaluations"] == 120).all() and (rows["seconds"] == 12_000.0).all()
    # Of 120 draws of four, one is the best.
    assert (rows[list(nasbench201.TESTS)].to_numpy() == [93.0, 73.0, 43.0]).all()
    text = out.with_suffix(".md").read_text(encoding="utf-8")
    assert "| random | 2 | 120 | 93.00 ± 0.00 | 73.00 ± 0.00 | 43.00 ± 0.00 |" in text
    assert "| regularized evolution (published) | | | 93.92 | 71.84 | 45.5 |" in text
    frame[1:].to_parquet(tmp_path / "nasbench201.parquet")
    nasbench201.load_protocol.cache_clear()
    with pytest.raises(SystemExit):
        nasbench201.main([*call, "--seeds", "3"])
    assert "the protocol needs every combination" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--report", "--out", "/nowhere/rows.csv"], "there are no results in /nowhere/rows.csv"),
        (["--tables", "/nowhere", "--table", "small.csv"], "/nowhere is not a folder"),
        (["--tables", "{}", "--table", "other.csv"], "there is no table"),
        (["--tables", "{}", "--table", "small.csv", "--target", "joy"], "small.csv has no column joy"),
        (["--tables", "{}"], "give --table FILE, or --all"),
        (["--tables", "{}", "--table", "small.csv", "--evaluations", "0"], "0: give 1 or more"),
        (["--tables", "{}", "--table", "small.csv", "--seed", "-1"], "-1: give 0 or more"),
        (["--tables", "{}", "--table", "small.csv", "--target", "c1"], "c1 is a parameter"),
        (["--tables", "{}", "--table", "small.csv", "--parameters", "c[01]"], "repeat a combination"),
        (["--tables", "{}", "--table", "small.csv", "--parameters", "x.*"], "from: c0, c1, c2, score"),
        (["--tables", "{}", "--table", "text.csv"], "the column score does not hold numbers"),
        (["--tables", "{}", "--table", "void.csv"], "the column score holds no number"),
        (["--tables", "{}", "--table", "empty.csv"], "cannot be read as a table"),
        (["--tables", "{}", "--table", "header.csv"], "header.csv has no rows"),
        (["--tables", "{}", "--table", "broken.parquet"], "cannot be read as a table"),
        (["--tables", "{}", "--table", "small.csv", "--sampler", "magic"], "unknown sampler"),
        (["--table", "{}/small.csv", "--parameters", "(c"], "(c is not a regular expression"),
        (["--table", "{}/small.csv", "--ordered", "x"], "--ordered x: matches none of the parameters c0, c1, c2"),
        (["--table", "nowhere.csv"], "no folder of tables: give --tables DIR"),
        (["--report", "--out", "{}/small.csv"], "is not a table of this benchmark: it has no column sampler"),
        (["--table", "{}/small.csv", "--out", "{}/empty.csv"], "empty.csv is not a table"),
    ],
)
def test_bad_input_is_an_error_with_one_line(
    folder: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NAS_BENCH_TABLES", raising=False)
    with pytest.raises(SystemExit) as stop:
        main([a.format(folder) for a in arguments])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_options_of_a_table_are_part_of_its_name(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NAS_BENCH_TABLES", raising=False)
    out = folder / "rows.csv"
    replay = ["--table", str(folder / "small.csv"), "--sampler", "random", "--evaluations", "10", "--out", str(out)]
    main(replay)
    main([*replay, "--minimise"])
    assert "nothing to do" not in capsys.readouterr().out
    main([*replay, "--minimise"])
    assert "nothing to do" in capsys.readouterr().out
    rows = pd.read_csv(out)
    assert rows["table"].tolist() == ["small:score", "small:score, minimise yes"]
    assert rows["best"][0] > 0 > rows["best"][1]


def test_tables_folder_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_BENCH_TABLES", str(tmp_path))
    assert tables_folder(None) == tmp_path
    monkeypatch.delenv("NAS_BENCH_TABLES")
    with pytest.raises(UserError, match="give --tables DIR or set NAS_BENCH_TABLES"):
        tables_folder(None)
