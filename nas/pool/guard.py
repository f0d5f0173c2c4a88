"""Check of the `__main__` guard, without which each worker that imports the script would search again."""

from __future__ import annotations

import ast
import multiprocessing
import os
import sys
from pathlib import Path
from types import FrameType

from nas.pool.protocol import PoolError

__all__ = ["UNGUARDED", "UnguardedError", "check_guard"]

UNGUARDED = 77
"""Exit code of a worker in which the script starts another search."""


class UnguardedError(PoolError, SystemExit):
    """The script has no `__main__` guard. Uncaught, the error ends the script with one line and no traceback."""

    def __init__(self) -> None:
        path = getattr(sys.modules["__main__"], "__file__", None) or "this script"
        message = (
            f'{path}: put the search under `if __name__ == "__main__":`, because each worker process imports the '
            "script again"
        )
        super().__init__(message)
        self.code = message


def check_guard() -> None:
    """Stop a script that would run again in each worker, and a worker that runs such a script.

    Raises:
        UnguardedError: the script has no guard.
    """
    # Set while a spawned process imports the script, before it runs its target.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(UNGUARDED)
    if _lacks_guard():
        raise UnguardedError


def _lacks_guard() -> bool:
    """Whether an import of the script is certain to call this again: from its top level, without any condition.

    Other missing guards are detected by the worker.
    """
    frame = _top_level(sys._getframe())
    if frame is None:
        return False
    try:
        body = ast.parse(Path(frame.f_code.co_filename).read_text(encoding="utf-8")).body
    except (OSError, ValueError, SyntaxError):
        return False
    run = [part for part in body if part.lineno <= frame.f_lineno and not isinstance(part, _DEFINITIONS)]
    return not any(isinstance(node, _DECISIONS) for part in run for node in ast.walk(part))


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_DECISIONS = (ast.If, ast.IfExp, ast.BoolOp, ast.While, ast.Match)


def _top_level(frame: FrameType | None) -> FrameType | None:
    """The frame of the script's top level if workers would import it; None for notebooks, consoles and packages."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or getattr(main.__spec__, "name", "").rpartition(".")[2] == "__main__":
        return None
    while frame is not None:
        if frame.f_globals is vars(main) and frame.f_code.co_name == "<module>" and frame.f_code.co_filename == file:
            return frame
        frame = frame.f_back
    return None
