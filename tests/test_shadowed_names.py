"""A user's own tasks.py, search_spaces.py and benchmarks.py never take the place of the toolkit's packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.shell import SMALL

ROOT = Path(__file__).parents[1]

NAMES = ("tasks", "search_spaces", "benchmarks")

CODE = """
import tasks, search_spaces, benchmarks
import nas
from nas.space import load_space

assert [tasks.MINE, search_spaces.MINE, benchmarks.MINE] == ["tasks", "search_spaces", "benchmarks"]
space = load_space("multitask.py")
assert type(space.loss.options[0]) is nas.CrossEntropy
assert nas.tasks.__name__ == "nas.tasks"
print("both are there")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder; on the path is what an installed wheel has."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "nas").symlink_to(ROOT / "nas")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    (tmp_path / "user").mkdir()
    for name in NAMES:
        (tmp_path / "user" / f"{name}.py").write_text(f"MINE = {name!r}\n")
    return tmp_path / "user"


def run_python(folder: Path, *args: str) -> str:
    command = [sys.executable, *args]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_script_beside_them(folder: Path) -> None:
    (folder / "go.py").write_text(CODE)
    assert "both are there" in run_python(folder, "go.py")


def test_a_command_beside_them(folder: Path) -> None:
    assert "both are there" in run_python(folder, "-c", CODE)


def test_a_notebook_beside_them(folder: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)])
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    (cell,) = client.execute().cells
    assert cell.outputs[0].text == "both are there\n"


def test_workers_of_a_search_beside_them(folder: Path) -> None:
    (folder / "small.py").write_text(SMALL)
    once = ("--budget", "1", "--best", "1", "--repeats", "1", "--workers", "1")
    search = ["--space", "small.py", "--size", "16x24", "--steps", "3", "--final-steps", "0", *once]
    code = f"""
import tasks
from nas.cli.search import main
if __name__ == "__main__":
    assert tasks.MINE
    main({search!r})
"""
    (folder / "go.py").write_text(code)
    assert "Winner:" in run_python(folder, "go.py")
