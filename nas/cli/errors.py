"""Runs a command so that whatever a user can cause ends in one line on stderr, never in a traceback."""

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

FAULT = 2


def run(command: click.Command, args: Sequence[str] | None = None) -> NoReturn:
    """Run a click command, which is given a --version, and leave the process with its exit code.

    0 when it ended well, or the number it returned; 2 for a UserError, a wrong option and a file that
    the system refuses, each told in one line; 130 when interrupted. Any other exception is a bug and
    keeps its traceback.

    Args:
        command: the command; the name of its file begins every message.
        args: what to parse, by default what was typed.
    """
    name = _name(command)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # names in letters that the terminal's encoding lacks
    try:
        code = _called(command, name, args)
    except click.UsageError as error:
        _fail(name, f"{error.format_message().rstrip('.')} (see {name} --help)")
    except (UserError, click.ClickException) as error:
        _fail(name, str(error) if isinstance(error, UserError) else error.format_message())
    except (KeyboardInterrupt, click.Abort):
        interrupt.leave(name)
    except OSError as error:
        if error.errno == errno.EPIPE:
            # Whoever read our output has gone. What is still buffered would fail again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        _fail(name, f"{where}{error.strerror}")
    interrupt.ignore()
    sys.exit(code if isinstance(code, int) else 0)


def _called(command: click.Command, name: str, args: Sequence[str] | None) -> object:
    """What the command returns. Unlike `command.main`, this prints no line of its own when interrupted."""
    if not any(option.name == "version" for option in command.params):
        click.version_option(__version__, message="%(prog)s %(version)s")(command)
    try:
        with command.make_context(name, list(sys.argv[1:] if args is None else args)) as context:
            return command.invoke(context)
    except click.exceptions.Exit as ended:  # --help, --version
        return ended.exit_code


def _name(command: click.Command) -> str:
    """What the command is called, however it was started: nas-search for the one in search.py."""
    assert command.callback is not None
    return f"nas-{Path(inspect.getfile(inspect.unwrap(command.callback))).stem}"


def _fail(name: str, message: str) -> NoReturn:
    print(f"{name}: error: {' '.join(message.splitlines())}", file=sys.stderr)
    sys.exit(FAULT)
