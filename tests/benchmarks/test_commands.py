"""The commands of benchmarks/: their help, the README that documents them, and the folder of results."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.common.provenance import RESULTS

FOLDER = Path(__file__).parents[2] / "benchmarks"
COMMANDS = [path.stem for path in sorted(FOLDER.glob("*.py")) if path.stem != "__init__"]
README = (FOLDER / "README.md").read_text(encoding="utf-8")
TYPED = re.findall(r"^(?:\.venv-bench/bin/)?python -m benchmarks\.(\w+)(.*?)(?: +#.*)?$", README, re.MULTILINE)


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    name = f"benchmarks.{command}" if command in COMMANDS else f"benchmarks.{command}.__main__"
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(name).main(["--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_is_in_the_readme(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "usage:" in help_of(command, capsys)
    assert f"`{command}`" in README and command in {name for name, _ in TYPED}


@pytest.mark.parametrize("command", sorted({name for name, _ in TYPED}))
def test_options_in_the_readme_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = {option for name, rest in TYPED if name == command for option in re.findall(r"--[\w-]+", rest)}
    assert options <= set(re.findall(r"--[\w-]+", help_of(command, capsys)))


def test_files_in_the_readme_exist() -> None:
    links = re.findall(r"\]\((\S+?)\)", README)
    paths = re.findall(r"`((?:results|common|sampling|training|made_sets)/[\w./]*)`", README)
    written_by_the_command = {"results/estimates.csv"}
    missing = [path for path in {*links, *paths} - written_by_the_command if not (FOLDER / path).exists()]
    assert len(links) > 5 and not missing


def test_results_are_beside_the_commands() -> None:
    assert RESULTS == FOLDER / "results" and (RESULTS / "controllers.csv").is_file()


def test_a_command_as_a_user_types_it() -> None:
    command = [sys.executable, "-m", "benchmarks.doctor_speed", "gif"]
    ended = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=False)
    assert ended.returncode == 2 and "Traceback" not in ended.stderr and "'gif'" in ended.stderr
