"""Numbers that the README repeats from elsewhere are still those."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from nas.runs.settings import default_steps

ROOT = Path(__file__).parents[2]


def test_the_steps_of_measured_trainings_stand_beside_those_of_today() -> None:
    readme = (ROOT / "README.md").read_text()
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "few_labels.csv")
    winner = table.loc[table["method"] == "searched winner", "steps"]
    peer = table.loc[table["method"] != "searched winner", "steps"]
    text = " ".join(readme.split())
    assert f"{peer.min()} steps of the U-Net and {winner.min():,} to {winner.max():,} of the winner" in text
    assert f"today's default with so many labels is {default_steps(46)} steps" in text
    assert f"today's default with their 45 labelled images is {default_steps(45)} steps" in text
