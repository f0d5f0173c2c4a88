"""The final ranking as text."""

from __future__ import annotations

import re
import shlex
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nas.export import save_checkpoint
from nas.insight.effects import Effect, Importance, Interaction
from nas.models import build_network
from nas.report import ranking_text
from nas.report.facts import agreements, read_trials
from nas.report.numbers import count, duration, score, score_with_interval
from nas.report.text import next_commands
from nas.runs.run import Run
from nas.runs.settings import Settings
from nas.space import Recipe
from nas.tasks.data import FewLabelData, ImageSet


def save_best(run: Run, candidate: Recipe, test_miou: float) -> None:
    """A checkpoint as the search's last step writes it."""
    images = ImageSet(np.zeros((1, 16, 16, 3), np.uint8), np.zeros((1, 16, 16), np.uint8), ("a",))
    bare = ImageSet(images.images, None, images.names)
    data = FewLabelData("fake", ("sky", "road & <kerb>"), ((0, 0, 0), (9, 9, 9)), images, bare, images, images)
    metrics = {"validation_miou": 0.7, "test_miou": test_miou, "test_iou": [test_miou, float("nan")]}
    save_checkpoint(run.best_checkpoint, build_network(candidate, 2), candidate, data, metrics, {})


def line_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.strip().startswith(start))


def test_rows_hold_the_numbers_of_the_table(table: pd.DataFrame, run: Run) -> None:
    text = ranking_text(table, run)
    mean = statistics.fmean((0.70, 0.64, 0.70))
    half = statistics.stdev((0.70, 0.64, 0.70)) * 4.303 / 3**0.5
    first = line_of(text, "1  ")
    assert first.split() == [
        "1",
        "trial",
        "2",
        f"{mean:.3f}",
        "±",
        f"{half:.3f}",
        "3",
        "0.700",
        "-",
        "30.0",
        "k",
        "11.0",
    ]
    assert line_of(text, "2  ").split()[6] == "="
    assert line_of(text, "3  ").split()[1:3] == ["baseline", "0"]
    assert "baseline 0: a training failed: RuntimeError: no <luck>" in text


def test_no_line_is_wider_than_a_terminal(table: pd.DataFrame, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.folder.parent)
    wide = table.assign(params=123_456_789, seconds=12345.678, name="trial 12345")
    for shown in (table, wide):
        assert max(map(len, ranking_text(shown, run).splitlines())) <= 80


def test_recipe_of_the_winner_is_shown_without_a_checkpoint(table: pd.DataFrame, run: Run) -> None:
    text = ranking_text(table, run)
    assert "Winner: trial 2" in text
    assert "decoder: LinkNet" in text
    assert "pretext: (Denoising)" in text
    assert "Its test score is unknown" in text


def test_test_score_is_read_from_the_checkpoint_of_the_winner(
    table: pd.DataFrame,
    run: Run,
    candidates: list[Recipe],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(Run, "best_checkpoint", tmp_path / "best.safetensors")
    save_best(run, candidates[2], 0.6543)
    assert "Winner: trial 2, mIoU 0.654 on the test split" in ranking_text(table, run)
    save_best(run, candidates[1], 0.9)
    text = ranking_text(table, run)
    assert "0.900" not in text
    assert "belongs to another candidate" in text


def test_tau_counts_pairs_of_complete_trials(run: Run) -> None:
    found = agreements(read_trials(run))
    # Against 0.50, 0.60, 0.70, 0.40: at step 10, of 6 pairs, trial 0 is wrongly above 1 and 2; at 30, none is wrong.
    assert {a.rung: a.tau for a in found} == pytest.approx({10: (4 - 2) / 6, 30: 1.0})
    assert {a.trials for a in found} == {4}


def test_tau_needs_three_trials(run: Run) -> None:
    assert agreements(read_trials(run)[:2]) == []


IMPORTANCE = Importance(
    0.42,
    57,
    (
        Effect("width", 0.2, 0.05, "0.00042 to 0.00097", 0.3, 0.1),
        *(Effect("encoder.stages." * i, 0.02, 0.01, "Inverted" * i, -1.0, 0.1) for i in range(1, 9)),
    ),
    tuple(
        Interaction("jigsaw", "norm", 0.05, 0.01, f"jigsaw=on helps with {'norm' * 9 * i}=group (+0.50)")
        for i in range(1, 5)
    ),
)


def with_importance(start: Callable[..., Run], folder: Path, importance: Importance) -> Run:
    run = start(folder)
    run.study().set_user_attr("importance", importance.to_data())
    return run


def test_importance_takes_at_most_ten_narrow_lines(
    table: pd.DataFrame, tmp_path: Path, start: Callable[..., Run]
) -> None:
    text = ranking_text(table, with_importance(start, tmp_path / "most", IMPORTANCE))
    (part,) = (part for part in text.split("\n\n") if part.startswith("Parameter importance"))
    lines = part.splitlines()
    assert "42%" in lines[0] and len(lines) <= 10 and max(map(len, lines)) <= 80
    assert re.search(r"20% ±\s+5% +width +0\.00042 to 0\.00097 +\+0\.30 ± 0\.10", part)
    assert "jigsaw=on helps with" in part


def test_missing_importance_is_explained_and_omitted_if_it_was_not_computed(
    table: pd.DataFrame, run: Run, tmp_path: Path, start: Callable[..., Run]
) -> None:
    few = Importance(None, 7, reason="7 scored trials are too few, 20 are needed")
    text = ranking_text(table, with_importance(start, tmp_path / "few", few))
    assert "Parameter importance is not available: 7 scored trials are too few, 20 are needed." in " ".join(
        text.split()
    )
    none = Importance(0.3, 70)
    assert "no parameter and no pair" in ranking_text(table, with_importance(start, tmp_path / "none", none))
    assert "Parameter importance" not in ranking_text(table, run)


def test_commands_can_be_pasted_into_a_shell(table: pd.DataFrame, run: Run) -> None:
    text = ranking_text(table, run).split("Next:\n")[1]
    commands = [shlex.split(line) for line in text.replace("\\\n", " ").splitlines()]
    assert commands == next_commands(run)
    assert commands[-1] == ["nas-search", "--resume", str(run.folder), "--budget", "40"]
    assert commands[-2] == ["optuna-dashboard", run.storage]


def test_storage_password_is_hidden(tmp_path: Path) -> None:
    Settings(space="s.py", storage="postgresql://me:secret@host:5432/db").write(tmp_path)
    shown = next_commands(Run(tmp_path))[3][1]
    assert shown == "postgresql://me:***@host:5432/db"


def test_one_contender_with_one_seed(table: pd.DataFrame, run: Run) -> None:
    one = table.iloc[:1].assign(interval=float("nan"), seeds=1)
    row = line_of(ranking_text(one, run), "1  ")
    assert "±" not in row and "nan" not in row.lower()


def test_contender_whose_trainings_all_failed(table: pd.DataFrame, run: Run) -> None:
    gaps = {"miou": float("nan"), "interval": float("nan"), "params": None, "seconds": float("nan")}
    row = line_of(ranking_text(table.iloc[:1].assign(**gaps, seeds=0), run), "1  ")
    assert re.findall(r"\S+", row)[3:] == ["-", "0", "0.700", "-", "-", "-"]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (score(0.12345), "0.123"),
        (score(float("nan")), "-"),
        (score(None), "-"),
        (score_with_interval(0.5, float("nan")), "0.500"),
        (count(31_040_000), "31.0 M"),
        (count(1_234_000), "1.23 M"),
        (count(123_456_789), "123 M"),
        (count(999), "999"),
        (count(999_999), "1.00 M"),
        (count(9_999_000), "10.0 M"),
        (count(None), "-"),
        (duration(34.12), "34.1 s"),
        (duration(720), "12 min"),
        (duration(12_000), "3 h 20 min"),
        (duration(3599.9), "1 h 0 min"),
        (duration(float("inf")), "-"),
    ],
)
def test_numbers(shown: str, expected: str) -> None:
    assert shown == expected
