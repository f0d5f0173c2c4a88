"""Candidates are compared on small images, and the winner is trained at full size."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.controller.final_training import MAX_FACTOR, Exported
from nas.controller.full_size import RUNGS, FullSizeTraining
from nas.controller.images import load_full_size, load_images, with_sizes
from nas.controller.timing import FINISHING, Clock, final_seconds
from nas.controller.work import Probe
from nas.errors import UserError
from nas.export import load_checkpoint
from nas.pool import Done, Failed, Job, Message, Rung
from nas.runs.run import Run
from nas.runs.settings import Settings, default_steps
from tests.shell import Shell, draw_set

SETTINGS = Settings("any.py", steps=90, size=(32, 48), search_size=(16, 24), repeats=2)


def folder_of(shell: Shell, names: str = "abcdefghi") -> str:
    draw_set(shell.folder / "set", names)
    return f"folder:{shell.folder / 'set'}"


def test_without_given_sizes_a_cpu_compares_on_fewer_pixels(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.pool.devices.visible_gpus", lambda: ())
    monkeypatch.setattr("nas.tasks.data.working_size.STEP", 4)
    monkeypatch.setattr("nas.tasks.data.working_size.AREA", {"cpu": 384, "cuda": 384})
    monkeypatch.setattr("nas.tasks.data.working_size.LEAST_SEARCHED", 96)
    settings = Settings("any.py", data=folder_of(shell))
    data = load_images(settings, searched=True)
    assert data.size == (8, 12)
    found = with_sizes(settings, data)
    assert (found.size, found.search_size) == ((16, 24), (8, 12))
    full = load_full_size(found, data)
    assert full.size == (16, 24)
    assert full.labelled.names == data.labelled.names
    # A single recipe is not compared.
    alone = load_images(settings, searched=False)
    assert (with_sizes(settings, alone).size, with_sizes(settings, alone).search_size) == ((16, 24), None)


@pytest.mark.parametrize(
    ("size", "search_size", "decided"),
    [
        ((16, 24), None, ((16, 24), None)),
        ((16, 24), (8, 12), ((16, 24), (8, 12))),
        ((16, 24), (16, 24), ((16, 24), None)),
        (None, (8, 12), ((16, 24), (8, 12))),
    ],
)
def test_given_sizes_are_used(shell: Shell, size: Any, search_size: Any, decided: Any) -> None:
    settings = Settings("any.py", data=folder_of(shell), size=size, search_size=search_size)
    data = load_images(settings, searched=True)
    assert data.size == (decided[1] or decided[0])
    found = with_sizes(settings, data)
    assert (found.size, found.search_size) == decided


def test_images_that_change_during_the_search_are_refused(shell: Shell) -> None:
    settings = Settings("any.py", data=folder_of(shell), size=(16, 24), search_size=(8, 12))
    data = load_images(settings)
    draw_set(shell.folder / "set", "z")
    with pytest.raises(UserError, match=r"images changed during the search: put them back"):
        load_full_size(settings, data)


class Scripted:
    """An instant pool: probes have a fixed pace, trainings a score by candidate."""

    slots = 2

    def __init__(self, scores: dict[str, float | None], step: float = 0.1) -> None:
        self.scores, self.step = scores, step
        self.waiting: list[Job] = []
        self.trained: list[Any] = []
        self.answers: list[bool] = []

    def submit(self, job: Job) -> None:
        self.waiting.append(job)

    def answer(self, job: int, goes_on: bool) -> None:
        self.answers.append(goes_on)

    def messages(self, timeout: float) -> list[Message]:
        jobs, self.waiting = self.waiting, []
        found: list[Message] = []
        for job in jobs:
            if isinstance(job.payload, Probe):
                found.append(Done(job, {"step": self.step, "validation": 0.0, "peak_mb": 1.0}))
                continue
            self.trained.append(job.payload)
            score = self.scores[job.payload.candidate]
            found += [Rung(job, step, 0.0) for step in job.payload.rungs]
            if score is None:
                found.append(Failed(job, "out of luck", ""))
            else:
                Path(job.payload.save).touch()
                found.append(Done(job, {"miou": score, "steps": job.payload.steps}))
        return found


def trained_with(
    tmp_path: Path, pool: Scripted, folds: int, study: optuna.Study, clock: Clock, settings: Settings = SETTINGS
) -> Exported:
    full = FullSizeTraining(
        study, pool, settings, folds, lambda digest: tmp_path / digest, {"run": "r"}, clock, labelled=50
    )
    return full.run({"a": "first", "b": "second", "c": "third"}, {"a": 0.5, "b": 0.49, "c": 0.48})


def test_without_folds_the_best_at_full_size_is_exported(tmp_path: Path) -> None:
    pool, study = Scripted({"first": 0.4, "second": 0.6}), optuna.create_study()
    found = trained_with(tmp_path, pool, 0, study, Clock())
    assert found == Exported("b", tmp_path / "b", 3 * 90, 0.6)
    assert [task.candidate for task in pool.trained] == ["first", "second"]  # as many as there are workers
    assert {task.seed for task in pool.trained} == {2}  # not one of the ranking's
    assert pool.answers == [True] * 2 * RUNGS
    # Nothing is trained twice.
    again = Scripted({})
    assert trained_with(tmp_path, again, 0, study, Clock()) == found
    assert not again.trained
    # One failure leaves the other candidate.
    other = Scripted({"first": None, "second": 0.3})
    assert trained_with(tmp_path, other, 0, optuna.create_study(), Clock()).digest == "b"
    with pytest.raises(UserError, match="could not be trained at 32x48: out of luck"):
        trained_with(tmp_path, Scripted({"first": None, "second": None}), 0, optuna.create_study(), Clock())


def test_with_folds_the_winner_is_trained_on_all_labelled_images(tmp_path: Path) -> None:
    pool = Scripted({"first": 0.9})
    found = trained_with(tmp_path, pool, 3, optuna.create_study(), Clock())
    # A score on images that it was trained on means nothing.
    assert found == Exported("a", tmp_path / "a", 3 * 90, None)
    (task,) = pool.trained
    assert task.metrics == {"validation_miou": 0.5}
    assert task.provenance == {"run": "r", "scored on": "3 folds of the labelled images at 16x24"}


def test_a_time_limit_decides_the_steps(tmp_path: Path) -> None:
    steps = trained_with(tmp_path, Scripted({"first": 0.5}), 3, optuna.create_study(), Clock(FINISHING + 120.0)).steps
    assert steps == pytest.approx(1000, abs=5)  # 120 s with a margin of 20 %, a tenth of a second each
    much = trained_with(tmp_path, Scripted({"first": 0.5}), 3, optuna.create_study(), Clock(1e6)).steps
    assert much == MAX_FACTOR * default_steps(50)
    asked = trained_with(
        tmp_path, Scripted({"first": 0.5}), 3, optuna.create_study(), Clock(1e6), replace(SETTINGS, final_steps=120)
    )
    assert asked.steps == 120


def test_what_takes_longer_than_expected_ends_at_the_limit(tmp_path: Path) -> None:
    pool = Scripted({"first": 0.5})
    ticking = Clock(60.0)
    ticking.started -= 61.0
    trained_with(tmp_path, pool, 3, optuna.create_study(), ticking)
    assert pool.answers == [False]
    assert pool.trained[0].save_stopped


def test_the_estimate_counts_the_pixels() -> None:
    # Three times the steps on four times the pixels, for one of the two folds.
    assert final_seconds(SETTINGS, 10.0, 2, 2, 3) == pytest.approx(10.0 / 2 * 3 * 4)


def test_a_search_exports_a_network_of_full_size(shell: Shell) -> None:
    sizes = ("--size", "32x48", "--search-size", "16x24")
    short = ("--steps", "9", "--final-steps", "0", "--best", "1", "--repeats", "1", "--workers", "1", "--budget", "2")
    data = ("--data", folder_of(shell, "abcdefghijkl"), "--folds", "2")
    ended = shell.run("search", "--space", "small.py", "--name", "two", *sizes, *short, *data)
    assert ended.returncode == 0, ended.stderr
    assert "16x24, the winner trained at 32x48" in ended.stdout
    assert "The winner is trained at 32x48, on all labelled images, 9 steps" in ended.stdout
    run = Run(shell.folder / "runs" / "two")
    found = load_checkpoint(run.best_checkpoint)
    assert found.size == (32, 48)
    assert found.provenance["data"]["size"] == [32, 48]
    assert found.metrics["steps"] == 9
    winner = run.ranking.query("winner").iloc[0]
    assert winner["test_miou"] == pytest.approx(found.metrics["test_miou"])
    assert math.isnan(winner["final_miou"])
    # A resumed run keeps its sizes.
    more = shell.run("search", "--resume", "runs/two", "--budget", "3")
    assert more.returncode == 0, more.stderr
    refused = shell.run("search", "--resume", "runs/two", "--search-size", "8x12")
    assert refused.returncode == 2
    assert "--search-size cannot change when a run is resumed" in refused.stderr
