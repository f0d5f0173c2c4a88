"""benchmarks.wide_spaces: its random functions, and the command line."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.wide_spaces import RandomFunction, hand_made, random_genes, space
from nas.space.choosers import draw, genes_of

ROOT = Path(__file__).parents[2]


def test_a_function_depends_on_its_seed_only() -> None:
    genes = random_genes()[:5]
    one, again, other = (RandomFunction(seed) for seed in (3, 3, 4))
    assert [one(g) for g in genes] == [again(g) for g in genes] != [other(g) for g in genes]


def test_scores_are_standardized_and_hand_made_recipes_are_good() -> None:
    rng = random.Random(99)
    fresh = [genes_of(space(), draw(rng))[1] for _ in range(200)]
    means, good = [], []
    for seed in range(6):
        function = RandomFunction(seed)
        scores = [function(genes) for genes in fresh]
        means.append(np.mean(scores))
        assert np.std(scores) == pytest.approx(1.0, rel=0.3)
        good.append(max(function(genes) for genes in hand_made()))
    assert np.mean(means) == pytest.approx(0.0, abs=0.15)
    assert np.mean(good) > 0.5


@pytest.mark.slow
def test_command_line(tmp_path: Path) -> None:
    out = tmp_path / "wide.csv"
    command = [sys.executable, "-m", "benchmarks.wide_spaces", "--evaluations", "12", "--out", str(out)]
    asked = [*command, "--sampler", "random", "surrogate", "--seeds", "1"]
    ended = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    table = pd.read_csv(out)
    assert sorted(table["sampler"]) == ["random", "surrogate"] and table["best_20"].isna().all()
    assert out.with_suffix(".md").read_text() in ended.stdout and "| random | 1 |" in ended.stdout
    subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, timeout=300)
    assert len(pd.read_csv(out)) == 2

    for wrong in ("--sampler", "magic"), ("--evaluations", "9"):
        ended = subprocess.run([*command, *wrong], cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 2 and "Traceback" not in ended.stderr
        assert wrong[1] in ended.stderr.splitlines()[-1]
