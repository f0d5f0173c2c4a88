"""nas-report as a command."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nas.cli.report import main
from nas.runs.run import Run
from nas.runs.settings import Settings


def test_writes_the_page_and_prints_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Settings(space="small.py").write(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path)])
    assert ended.value.code == 0
    shown = Path(capsys.readouterr().out.strip())
    assert shown == tmp_path / "report.html"
    assert shown.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_page_may_go_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "pages"
    for folder in (run, elsewhere):
        folder.mkdir()
    Settings(space="small.py").write(run)
    for out, written in ((elsewhere / "one.html", elsewhere / "one.html"), (elsewhere, elsewhere / "report.html")):
        with pytest.raises(SystemExit) as ended:
            main([str(run), "--out", str(out)])
        assert ended.value.code == 0
        assert Path(capsys.readouterr().out.strip()) == written
        assert written.stat().st_size > 0
    assert not (run / "report.html").exists()


def test_a_run_that_cannot_be_written_is_reported_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    def report(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        return ended.value.code, *capsys.readouterr()

    with tempfile.TemporaryDirectory() as place:
        run, other = Path(place) / "run", Path(place) / "other"
        for folder in (run, other):
            folder.mkdir()
        Settings(space="small.py").write(run)
        Run(run).study()
        report(run, "--out", other)  # imports everything, which another user may not be allowed to read
        page = other / "page.html"
        Path(place).chmod(0o755)
        other.chmod(0o777)
        for path in (*run.iterdir(), run):
            path.chmod(path.stat().st_mode & 0o555)
        with without_root():
            refused, written = report(run), report(run, "--out", page)
        run.chmod(0o755)
    assert refused == (
        2,
        "",
        f"nas-report: error: {run}/report.html cannot be written (Permission denied): give --out FILE\n",
    )
    assert written == (0, f"{page}\n", "")


@contextmanager
def without_root() -> Iterator[None]:
    """Drop root privileges, which would override the permissions."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


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
