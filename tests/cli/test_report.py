"""nas-report as a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nas.cli.report import main
from nas.search.settings import Settings


def test_writes_the_page_and_prints_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Settings(space="small.py").write(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path)])
    assert ended.value.code == 0
    shown = Path(capsys.readouterr().out.strip())
    assert shown == tmp_path / "report.html"
    assert shown.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("name", ["absent", ""])
def test_no_run_is_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / name)])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("nas-report: error: ") and error.count("\n") == 1


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from nas.cli.report import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as ended:\n    assert ended.code == 0\n"
        "print('heavy:', sorted({'torch', 'pandas', 'plotly', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "RUN/report.html" in done.stdout
    assert done.stdout.rstrip().endswith("heavy: []")
    assert max(map(len, done.stdout.splitlines())) <= 80
