"""Folders and storages of any name: the study of one run is never opened as that of another."""

from __future__ import annotations

import os
from pathlib import Path

import optuna
import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from nas.errors import UserError
from nas.report.text import next_commands
from nas.runs.run import Run, new_folder
from nas.runs.settings import Settings
from nas.runs.storage import sqlite_url, with_full_path

NAMES = (
    *("a", "a?b", "a?c", "a?", "a?timeout=9", "a?mode=memory", "a#b", "a%41", "aA", "a%2541", "a&b", "a b", "a+b"),
    *("a{x}", "a'b", 'a"b', "a;b", "a\\b", "file:a", ":memory:", "~a", "stra\u00dfe", "a\nb"),
)

BYTES = (os.fsdecode(b"\xff"), os.fsdecode(b"\xfe"))
"""Names that are not UTF-8, which SQLite opens and safetensors does not."""


def folders(root: Path) -> dict[str, Path]:
    """Make a folder of each name that the file system allows."""
    made = {}
    for name in NAMES:
        try:
            (root / name).mkdir()
        except OSError:
            continue
        made[name] = root / name
    return made


def test_each_run_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = folders(tmp_path)
    assert {"a", "a?b", "a%41"} <= made.keys()
    for folder in made.values():
        Settings("small.py").write(folder)
        # A run's folder is often a relative path.
        with create_engine(Run(folder.name).storage).begin() as connection:
            connection.exec_driver_sql("CREATE TABLE once (folder TEXT)")
            connection.exec_driver_sql("INSERT INTO once VALUES (?)", (ascii(folder.name),))
    for name, folder in made.items():
        assert sorted(path.name for path in folder.iterdir()) == ["settings.json", "study.db"]
        with create_engine(Run(folder).storage).connect() as connection:
            assert connection.exec_driver_sql("SELECT folder FROM once").scalar() == ascii(name)


@pytest.mark.parametrize("names", [("a?b", "a?c"), ("a%41", "aA"), ("{x}", "x")])
def test_the_url_that_is_printed_opens_the_study_of_its_run(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        (tmp_path / name).mkdir()
        Settings("small.py").write(tmp_path / name)
        Run(tmp_path / name).study().set_user_attr("run", name)
    for name in names:
        url = next_commands(Run(tmp_path / name))[-2][1]
        assert optuna.load_study(storage=url, study_name="search").user_attrs["run"] == name


@pytest.mark.parametrize("name", [*NAMES, *BYTES])
def test_a_url_names_its_file_and_is_kept_as_it_is(tmp_path: Path, name: str) -> None:
    url = sqlite_url(tmp_path / name / "study.db")
    assert make_url(url).get_backend_name() == "sqlite"
    assert with_full_path(url) == url
    assert url.isascii() and "{" not in url


@pytest.mark.parametrize("name", ["a.db", "a?b.db", "a?", "a#b.db", "a&b.db", "a b.db", "a{x}.db", "stra\u00dfe.db"])
def test_a_storage_is_the_file_that_was_typed(tmp_path: Path, name: str) -> None:
    (tmp_path / "x?y#z").mkdir()
    file = tmp_path / "x?y#z" / name
    with create_engine(with_full_path(f"sqlite:///{file}")).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE once (folder TEXT)")
    assert [path.name for path in file.parent.iterdir()] == [name]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("sqlite:///{here}/s.db?timeout=9", "sqlite:///{here}/s.db?timeout=9"),
        ("sqlite+pysqlite:///{here}/s.db", "sqlite+pysqlite:///{here}/s.db"),
        ("sqlite:///file:s.db?mode=memory&uri=true", "sqlite:///file:s.db?mode=memory&uri=true"),
        ("mysql://me@host/studies?charset=utf8mb4", "mysql://me@host/studies?charset=utf8mb4"),
    ],
)
def test_options_of_a_storage_are_kept(tmp_path: Path, given: str, kept: str) -> None:
    assert with_full_path(given.format(here=tmp_path)) == kept.format(here=tmp_path)
    file, options = f"{tmp_path}/a?b.db", {"timeout": "9"}
    assert with_full_path(f"sqlite:///{file}?timeout=9") == sqlite_url(Path(file), options)


def test_a_run_that_is_renamed_keeps_its_study_in_a_shared_storage(tmp_path: Path) -> None:
    storage = sqlite_url(tmp_path / "shared.db")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Settings("small.py", storage=storage, study=name).write(tmp_path / name)
        Run(tmp_path / name).study().set_user_attr("run", name)
    (tmp_path / "two").rename(tmp_path / "three")
    (tmp_path / "one").rename(tmp_path / "two")
    assert Run(tmp_path / "two").study().user_attrs["run"] == "one"
    assert Run(tmp_path / "three").study().user_attrs["run"] == "two"


@pytest.mark.parametrize("name", BYTES)
def test_a_path_that_is_not_utf8_is_refused_for_a_run_and_accepted_for_a_storage(tmp_path: Path, name: str) -> None:
    try:
        (tmp_path / name).mkdir()
    except OSError:
        pytest.skip("this file system holds no names that are not UTF-8")
    for open_run in (
        lambda: new_folder("small.py", name, root=tmp_path),
        lambda: new_folder("small.py", root=tmp_path / name),
        lambda: Run(tmp_path / name),
    ):
        with pytest.raises(UserError, match=r"\\udcf[ef].*: the path of a run must be UTF-8 text"):
            open_run()
    with create_engine(with_full_path(f"sqlite:///{tmp_path / name}/s.db")).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE once (folder TEXT)")
    assert (tmp_path / name / "s.db").exists()
