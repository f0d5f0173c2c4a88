"""A script without the `__main__` guard ends with one line and leaves no run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shell import SMALL

SEARCH = 'nas.search("small.py", budget=1, repeats=1, best=1, workers=1, data="scenes", size=(16, 24), steps=1)'

HIDDEN = f"""
import nas, sys

def main():
    {SEARCH}

if len(sys.argv) < 99:
    main()
"""


@pytest.mark.parametrize("script", [f"import nas\n{SEARCH}\n", HIDDEN], ids=["at once", "detected by a worker"])
def test_a_script_without_a_guard_ends_with_one_line(tmp_path: Path, script: str) -> None:
    (tmp_path / "small.py").write_text(SMALL)
    (tmp_path / "script.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=200
    )
    assert ended.returncode == 1
    line = 'script.py: put the search under `if __name__ == "__main__":`, because each worker process imports the'
    assert ended.stderr.endswith(f"{line} script again\n") and ended.stderr.count("\n") == 1
    assert not list(tmp_path.glob("runs/*"))


GUARDS = {
    "usual": 'if __name__ == "__main__":\n    check_guard()\n',
    "nested": 'try:\n    if __name__ == "__main__":\n        check_guard()\nfinally:\n    pass\n',
    "early": 'import sys\nif __name__ != "__main__":\n    sys.exit()\ncheck_guard()\n',
    "short": '__name__ == "__main__" and check_guard()\n',
}


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
def test_a_script_with_a_guard_continues(tmp_path: Path, guard: str) -> None:
    (tmp_path / "script.py").write_text(f"from nas.pool import check_guard\n{guard}print('went on')\n")
    assert run_script(tmp_path, "script.py") == "went on\n"


def test_a_package_is_not_imported_again(tmp_path: Path) -> None:
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "__main__.py").write_text(
        "from nas.pool import check_guard\ncheck_guard()\nprint('went on')\n"
    )
    assert run_script(tmp_path, "-m", "tool") == "went on\n"


def run_script(folder: Path, *args: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=True).stdout
