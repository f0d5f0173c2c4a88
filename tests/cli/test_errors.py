"""Bad input ends with one line and an exit code."""

from __future__ import annotations

import importlib
import io
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import nas
from nas.cli.errors import run
from nas.errors import UserError


def command_that(action) -> click.Command:
    @click.command()
    @click.option("--count", type=int)
    def command(count: int | None) -> object:
        return action()

    return command


def raising(error: BaseException):
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("action", "code", "line"),
    [
        (raising(UserError("runs/a: no such run")), 2, "error: runs/a: no such run"),
        (raising(UserError("first\nsecond")), 2, "error: first second"),
        (raising(PermissionError(13, "Permission denied", "/a/b")), 2, "error: /a/b: Permission denied"),
        (raising(OSError(28, "No space left on device")), 2, "error: No space left on device"),
        (raising(KeyboardInterrupt()), 130, "interrupted"),
    ],
)
def test_one_line(action, code, line, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        run(command_that(action), [])
    assert ended.value.code == code
    # The command is named after its file.
    assert capsys.readouterr().err.strip() == f"nas-test_errors: {line}"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_letters_outside_the_terminals_encoding_are_replaced(encoding, monkeypatch) -> None:
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}

    def action() -> None:
        click.echo("class 道路\udcff")  # a lone surrogate, which no encoding has
        print("道")
        raise UserError("道.png: no such file")

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
        for name, stream in streams.items():
            patch.setattr(sys, name, stream)
        run(command_that(action), [])
    assert ended.value.code == 2
    for stream in streams.values():
        stream.flush()
    assert streams["stdout"].buffer.getvalue() == b"class ???\n?\n"
    assert streams["stderr"].buffer.getvalue() == b"nas-test_errors: error: ?.png: no such file\n"


@pytest.mark.parametrize("args", [["--count", "many"], ["--nothing"], ["stray"]])
def test_wrong_options_are_one_line(args, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        run(command_that(lambda: None), args)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith("nas-test_errors: error: ") and error.count("\n") == 1
    assert "--help" in error


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run(command_that(lambda: 1 / 0), [])
    with pytest.raises(OSError, match="no file"):
        run(command_that(raising(OSError(5, "no file"))), [])


@pytest.mark.parametrize(("value", "code"), [(None, 0), (0, 0), (2, 2), ("text", 0)])
def test_exit_codes(value, code) -> None:
    with pytest.raises(SystemExit) as ended:
        run(command_that(lambda: value), [])
    assert ended.value.code == code


def test_a_reader_that_leaves_early_causes_no_traceback() -> None:
    code = (
        "import click\n"
        "from nas.cli import errors\n"
        "command = click.command()(lambda: [click.echo('x' * 1000) for _ in range(1000)])\n"
        "command.callback.__code__ = command.callback.__code__.replace(co_filename='many.py')\n"
        "errors.run(command, [])\n"
    )
    read, write = os.pipe()
    os.close(read)
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, cwd=root)
    os.close(write)
    assert ended.returncode == 1
    assert ended.stderr == b""


@pytest.mark.parametrize("name", ["search", "export", "evaluate", "predict", "report", "pretrain"])
def test_every_command_has_a_version(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main = importlib.import_module(f"nas.cli.{name}").main
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            main(["--version"])
        assert (ended.value.code, capsys.readouterr().out) == (0, f"nas-{name} {nas.__version__}\n")


@pytest.mark.parametrize("name", ["export", "evaluate", "predict", "pretrain"])
def test_help_loads_nothing_heavy(name: str) -> None:
    code = (
        "import sys\n"
        f"from nas.cli.{name} import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as ended:\n    assert ended.code == 0\n"
        "print('heavy:', sorted({'torch', 'numpy', 'cv2', 'pandas', 'optuna', 'tqdm'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert ended.stdout.startswith(f"Usage: nas-{name} ")
    assert ended.stdout.endswith("heavy: []\n")
    assert max(map(len, ended.stdout.splitlines())) <= 80
