"""Runs a command so that bad input ends with one line on stderr and never with a traceback."""

from __future__ import annotations

import errno
import inspect
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from nas import __version__, interrupt
from nas.errors import UserError

__all__ = ["run"]

BAD_INPUT = 2
"""Exit code."""


def run(command: click.Command, args: Sequence[str] | None = None) -> NoReturn:
    """Run a click command with a --version option added, and exit with its exit code.

    The code is 0, or the number that the command returned; 2 with one line for a UserError, a wrong option or an error
    of the file system; 130 when interrupted. Any other exception is a bug and keeps its traceback.

    Args:
        command: the command. Its messages begin with the name of its file.
        args: arguments to parse, by default `sys.argv[1:]`.
    """
    name = _name(command)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # of letters that the terminal's encoding lacks
    try:
        code = _invoke(command, name, args)
    except click.UsageError as error:
        _fail(name, f"{error.format_message().rstrip('.')} (see {name} --help)")
    except (UserError, click.ClickException) as error:
        _fail(name, str(error) if isinstance(error, UserError) else error.format_message())
    except (KeyboardInterrupt, click.Abort):
        interrupt.exit_interrupted(name)
    except OSError as error:
        if error.errno == errno.EPIPE:
            # The reader of the output is gone, and flushing the buffer at exit would fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        _fail(name, f"{where}{error.strerror}")
    interrupt.ignore_signals()
    sys.exit(code if isinstance(code, int) else 0)


def _invoke(command: click.Command, name: str, args: Sequence[str] | None) -> object:
    """Return what the command returns. Unlike `command.main`, this prints nothing when interrupted."""
    if not any(option.name == "version" for option in command.params):
        click.version_option(__version__, message="%(prog)s %(version)s")(command)
    try:
        with command.make_context(name, list(sys.argv[1:] if args is None else args)) as context:
            return command.invoke(context)
    except click.exceptions.Exit as ended:  # --help, --version
        return ended.exit_code


def _name(command: click.Command) -> str:
    """Name of the command, however it was started: nas-search for the one in search.py."""
    assert command.callback is not None
    return f"nas-{Path(inspect.getfile(inspect.unwrap(command.callback))).stem}"


def _fail(name: str, message: str) -> NoReturn:
    print(f"{name}: error: {' '.join(message.splitlines())}", file=sys.stderr)
    sys.exit(BAD_INPUT)
