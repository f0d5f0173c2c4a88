"""The study's file: quick while it is written, whole whatever ends the process, and one file afterwards."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import optuna

from nas.runs.storage import written_ahead

KILLED = """
import os, signal, sys, optuna
from pathlib import Path
from nas.runs.storage import written_ahead
with written_ahead(Path(sys.argv[1])) as storage:
    trial = optuna.create_study(storage=storage, study_name="one").ask()
    for i in range(30):
        trial.suggest_int(f"x{i}", i, i)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def mode(file: Path) -> str:
    with closing(sqlite3.connect(file)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def trials(file: Path) -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
    found = optuna.load_study(storage=storage, study_name="one").trials
    storage.engine.dispose()
    return found


def test_what_is_written_is_seen_by_others_at_once_and_left_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    with written_ahead(file) as storage:
        study = optuna.create_study(storage=storage, study_name="one")
        study.ask().suggest_float("x", 0, 1)
        assert mode(file) == "wal"
        assert list(trials(file)[0].params) == ["x"]
    assert mode(file) == "delete"
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
    assert len(trials(file)) == 1


def test_a_process_that_is_killed_has_lost_nothing(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    assert subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False).returncode == -9
    assert trials(file)[0].params == {f"x{i}": i for i in range(30)}
    with written_ahead(file) as storage:
        optuna.load_study(storage=storage, study_name="one").ask()
    assert len(trials(file)) == 2 and mode(file) == "delete"


def test_somebody_who_reads_at_the_end_is_no_hindrance(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    with closing(sqlite3.connect(file)) as reader:
        with written_ahead(file) as storage:
            optuna.create_study(storage=storage, study_name="one").ask()
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM trials").fetchone() == (1,)
        assert len(trials(file)) == 1
