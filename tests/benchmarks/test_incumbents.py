"""benchmarks.incumbents: incumbents after equal time, and the command line."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.incumbents import main
from benchmarks.sampling.incumbent_table import incumbent_after, write_report

ROOT = Path(__file__).parents[2]

SPACE = """
from nas import *

space = Recipe(
    encoder=Encoder(stages=(Stage(width=Choice(4, 6, 8), block=Plain(convs=1)),)),
    decoder=UNet(),
    norm=Choice("batch", "group"),
    loss=CrossEntropy(),
    method=Supervised(),
    optimizer=Adam(lr=Float(1e-3, 1e-2, log=True)),
    schedule=Poly(),
    augment=Augment(),
    labelled_batch=2,
)
"""


def rows(**incumbents: list[float]) -> pd.DataFrame:
    found = [
        {
            "sampler": sampler,
            "seed": 0,
            "trial": i,
            "outcome": "complete",
            "total_seconds": 10.0 * (i + 1),
            "incumbent": score,
        }
        for sampler, scores in incumbents.items()
        for i, score in enumerate(scores)
    ]
    return pd.DataFrame(found).assign(data="scenes", steps=3, miou=0.1, seconds=10.0)


def test_incumbent_after() -> None:
    search = rows(random=[0.1, 0.3, 0.3])
    assert math.isnan(incumbent_after(search, 9.9))
    assert [incumbent_after(search, seconds) for seconds in (10, 19, 20, 99)] == [0.1, 0.1, 0.3, 0.3]


def test_samplers_are_compared_up_to_the_time_of_the_shortest_search(tmp_path: Path) -> None:
    path = tmp_path / "incumbents.csv"
    rows(random=[0.1, 0.2, 0.2, 0.9], tpe=[0.3, 0.4]).to_csv(path, index=False)
    text = write_report(path)
    assert "| sampler | 5 s | 10 s | 15 s | 20 s | end |" in text
    assert "| random | - | 10.0 (10.0) | 10.0 (10.0) | 20.0 (20.0) | 90.0 (90.0) | 4 | 4 | 40 |" in text
    assert path.with_suffix(".md").read_text() == text
    assert "plotly" in path.with_suffix(".html").read_text()


def typed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "space.py").write_text(SPACE)
    command = [sys.executable, "-m", "benchmarks.incumbents", "--space", "space.py", "--size", "16x24", "--steps", "9"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    asked = [*command, "--out", "out.csv", "--seed", "0", *arguments]
    return subprocess.run(asked, cwd=folder, capture_output=True, text=True, env=environment, timeout=300)


@pytest.mark.slow
def test_command_line(tmp_path: Path) -> None:
    asked = ("--sampler", "random", "surrogate", "--budget", "3")
    ended = typed(tmp_path, *asked)
    assert ended.returncode == 0, ended.stderr
    table = pd.read_csv(tmp_path / "out.csv")
    for _, search in table.groupby("sampler"):
        assert len(search) == 3 and search["total_seconds"].is_monotonic_increasing
        assert search["total_seconds"].iloc[-1] == pytest.approx(search["seconds"].sum(), abs=1e-3)
        best = search.loc[search["outcome"] == "complete", "miou"].max()
        assert search["incumbent"].iloc[-1] == pytest.approx(best)

    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/study.db")}
    again = typed(tmp_path, *asked)
    assert again.returncode == 0 and again.stdout == ended.stdout
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/study.db")} == written

    other = typed(tmp_path, "--sampler", "random", "--budget", "4")
    assert other.returncode == 2 and "Traceback" not in other.stderr
    assert "another budget" in other.stderr.splitlines()[-1]


def test_bad_input_is_an_error_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["incumbents", "--sampler", "magic", "--out", "out.csv"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "magic" in capsys.readouterr().err.splitlines()[-1]
