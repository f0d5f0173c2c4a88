"""The study's file: fast to write, complete after a kill, and a single file afterwards."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import optuna

from nas.runs.storage import wal_storage

KILLED = """
import os, signal, sys, optuna
from pathlib import Path
from nas.runs.storage import wal_storage
with wal_storage(Path(sys.argv[1])) as storage:
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


def test_writes_are_visible_at_once_and_end_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    with wal_storage(file) as storage:
        study = optuna.create_study(storage=storage, study_name="one")
        study.ask().suggest_float("x", 0, 1)
        assert mode(file) == "wal"
        assert list(trials(file)[0].params) == ["x"]
    assert mode(file) == "delete"
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
    assert len(trials(file)) == 1


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    assert subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False).returncode == -9
    assert trials(file)[0].params == {f"x{i}": i for i in range(30)}
    with wal_storage(file) as storage:
        optuna.load_study(storage=storage, study_name="one").ask()
    assert len(trials(file)) == 2 and mode(file) == "delete"


def test_a_reader_at_the_end_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    with closing(sqlite3.connect(file)) as reader:
        with wal_storage(file) as storage:
            optuna.create_study(storage=storage, study_name="one").ask()
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM trials").fetchone() == (1,)
        assert len(trials(file)) == 1
