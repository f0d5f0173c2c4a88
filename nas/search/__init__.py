"""The search: samplers, early stopping, the study loop and the final ranking.

The package is itself callable, so that `nas.search("multitask.py", budget=200)` reads as it should
while `nas.search.samplers` stays importable.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any

from nas.search.api import resume, search
from nas.search.importance import Importance, importance
from nas.search.run import Run
from nas.search.settings import Settings

__all__ = ["Importance", "Run", "Settings", "importance", "resume", "search"]


# What `help` and completion show of the callable.
__signature__ = inspect.signature(search)
__doc__ = f"{inspect.getdoc(search)}\n\n{__doc__}"


class _CallablePackage(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Run:
        return search(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
