"""Figures in the README and the docs agree with the code and with the tables of the benchmarks."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from nas.runs.settings import default_steps

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "benchmarks" / "results"


def page(path: str) -> str:
    """A page with its whitespace collapsed."""
    return " ".join((ROOT / path).read_text(encoding="utf-8").split())


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120


def test_results_name_the_steps_of_then_and_now() -> None:
    table = pd.read_csv(TABLES / "few_labels.csv")
    winner = table.loc[table["method"] == "searched winner", "steps"]
    peer = table.loc[table["method"] != "searched winner", "steps"]
    text = page("docs/results.md")
    assert f"{peer.min()} steps of the U-Net and {winner.min():,} to {winner.max():,} of the winner" in text
    assert f"The default is now {default_steps(46)} steps for 46 labelled images" in text
    assert f"The default is now {default_steps(45)} steps for the 45 labelled images" in text


def test_searching_names_the_default_steps() -> None:
    text = page("docs/searching.md")
    assert f"takes {default_steps(12)} steps with up to 12 labelled images" in text
    assert f"({default_steps(50)} steps with 50)" in text


@pytest.mark.parametrize("path", ["README.md", "docs/results.md"])
def test_scores_on_camvid_are_those_of_the_table(path: str) -> None:
    table = pd.read_csv(TABLES / "few_labels.csv").groupby("method")["test"].mean()
    for method in table.index:
        assert f"{table[method]:.3f}".removeprefix("0") in page(path), method


def evaluations() -> dict[str, float]:
    """Evaluations to the best 0.1 % by sampler, from the first table of the benchmark."""
    first = (TABLES / "controllers.md").read_text().split("\n## ")[1]
    rows = re.findall(r"^\| (\S+) \|(?:[^|]*\|){4} ([\d.]+) ±", first, re.MULTILINE)
    return {name: float(count) for name, count in rows}


def test_evaluations_of_samplers_are_those_of_the_table() -> None:
    documented: dict[str, int] = {}
    text = (ROOT / "docs" / "searching.md").read_text()
    for names, counts in re.findall(r"^\| (`.*?) \| .* \| ([\d, ]+) \|$", text, re.MULTILINE):
        documented |= dict(zip(re.findall(r"`(.*?)`", names), map(int, counts.split(", ")), strict=True))
    assert len(documented) == 8
    for name, count in documented.items():
        assert count == pytest.approx(evaluations()[name], abs=0.6), name
    (ours, tpe, random) = re.findall(r"\| (\d+), `surrogate` \| (\d+), Optuna's TPE; (\d+), random", page("README.md"))[
        0
    ]
    assert [int(ours), int(tpe), int(random)] == [documented[name] for name in ("surrogate", "tpe", "random")]


def test_value_of_unlabelled_images_is_that_of_the_table() -> None:
    table = (TABLES / "methods.md").read_text()
    (gain,) = re.findall(r"^\| 1/8 \| classmix \| .* \| \+([\d.]+) ± [\d.]+ \| \d+ \| \d+ \|$", table, re.MULTILINE)
    assert f"+ {gain} points of mIoU" in page("README.md")
    assert f"`ClassMix` | + {gain} ±" in page("docs/results.md")
