"""The command line, one file per command. A command imports nothing heavy before its arguments are parsed."""

from __future__ import annotations

import re
import sys

from nas import interrupt


def _command() -> str | None:
    """Name of the command that this process runs, None for a process of another program."""
    # After the interpreter's options comes the script, "-m nas.cli.search", or the code of -c.
    for word in sys.orig_argv[:6]:
        found = re.search(r"(?:^|[/\\])nas-([a-z]+)(?:\.exe)?$|\bnas\.cli\.([a-z]+)\b", word)
        if found:
            return f"nas-{found[1] or found[2]}"
    return None


# Ctrl-C must work during the imports, which take seconds.
if (name := _command()) is not None:
    interrupt.install_handlers(name)
