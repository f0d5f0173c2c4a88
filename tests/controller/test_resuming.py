"""Safe resuming: one process at a time, fixed settings, atomic files, and workers that die."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.api import _locked
from nas.controller.final_training import score_on_test
from nas.errors import UserError
from nas.pool import Done, Failed, Job, Message, Requeued
from nas.runs.run import Run
from nas.runs.settings import Settings


def test_only_one_process_searches_a_run(tmp_path: Path) -> None:
    with _locked(tmp_path), pytest.raises(UserError, match="is being searched by another process"), _locked(tmp_path):
        pass
    with _locked(tmp_path):
        pass


@pytest.mark.parametrize("change", [{"steps": 3}, {"objectives": ("miou", "params")}, {"sampler": "tpe"}, {"stepz": 3}])
def test_settings_that_change_scores_are_fixed(tmp_path: Path, change: dict[str, Any]) -> None:
    Settings("small.py", steps=9).write(tmp_path)
    with pytest.raises(UserError, match=f"--{next(iter(change))} cannot change when a run is resumed"):
        nas.resume(tmp_path, **change)


@pytest.mark.parametrize("content", ["", "{}", "[]", "7", '{"space": "a", "size": 3}', '{"space": "a", "size": [3]}'])
def test_settings_of_another_program_are_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(UserError, match=r"is not a run: it has no readable settings\.json"):
        Run(tmp_path)


def test_a_full_disk_leaves_the_settings_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Settings("small.py", budget=7).write(tmp_path)
    write = Path.write_text

    def part(path: Path, text: str) -> int:
        write(path, text[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", part)
        with pytest.raises(OSError, match="No space left"):
            Settings("small.py", budget=8).write(tmp_path)
    assert Run(tmp_path).settings.budget == 7
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("sqlite:///study.db", "sqlite:///{here}/study.db"),
        ("sqlite:///study.db?timeout=9", "sqlite:///{here}/study.db?timeout=9"),
        ("sqlite:////data/study.db", "sqlite:////data/study.db"),
        ("sqlite://", "sqlite://"),
        ("postgresql://me:secret@host/studies", "postgresql://me:secret@host/studies"),
        ("no URL", "no URL"),
    ],
)
def test_a_storage_has_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, kept: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings("small.py", storage=given).checked().storage == kept.format(here=tmp_path)


class Scripted:
    """A pool that answers a job with scripted messages."""

    def __init__(self, *script: Any) -> None:
        self.script = script

    def submit(self, job: Job) -> None:
        self.job = job

    def messages(self, timeout: float) -> list[Message]:
        return [make(self.job) for make in self.script]


def test_a_worker_that_dies_during_the_test_is_replaced(tmp_path: Path) -> None:
    best = tmp_path / "best"
    died = Scripted(lambda job: Requeued(job, "killed"), lambda job: Done(job, {"miou": 0.5}))
    assert score_on_test(died, tmp_path / "winner", best) == 0.5  # type: ignore[arg-type]
    failing = Scripted(lambda job: Failed(job, "no such file", ""))
    with pytest.raises(UserError, match="the winner could not be tested: no such file"):
        score_on_test(failing, tmp_path / "winner", best)  # type: ignore[arg-type]
