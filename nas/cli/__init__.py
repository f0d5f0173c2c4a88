"""The command lines, a file a command; none imports anything heavy before it has read its arguments."""

from __future__ import annotations

import re
import sys

from nas import interrupt


def _command() -> str | None:
    """What the command is called that this process was started as; None for a process of another program."""
    # Past the options of the interpreter come the script, "-m nas.cli.search", or the code after -c.
    for word in sys.orig_argv[:6]:
        found = re.search(r"(?:^|[/\\])nas-([a-z]+)(?:\.exe)?$|\bnas\.cli\.([a-z]+)\b", word)
        if found:
            return f"nas-{found[1] or found[2]}"
    return None


# The imports of a command take seconds, in which Ctrl-C is to end it as it does later.
if (name := _command()) is not None:
    interrupt.watch(name)
