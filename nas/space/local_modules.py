"""Local modules: the modules beside a space file, which it may import and which a run keeps copies of.

A space file and its local modules are loaded as a package, named after the file's full path. Only import statements
inside this package look beside the space file; `sys.path` is never touched. So two spaces may each have a
`helpers.py`, and a local `tasks.py` changes nothing for the toolkit or for installed packages. Names of the standard
library, and `nas`, are never looked up beside a space file.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from nas.space.component import SPACE_MODULE, Component

__all__ = ["MODULES", "find_local_module", "imported_modules", "run_space_file", "user_line"]

MODULES = "space_modules"
"""Folder beside a run's space file that holds the copies of its local modules."""


def run_space_file(path: Path) -> ModuleType:
    """Run a space file and the local modules that it imports, all read again from disk.

    Raises:
        BaseException: anything that the file raises.
    """
    name = SPACE_MODULE + hashlib.sha256(str(path.resolve()).encode(errors="surrogateescape")).hexdigest()[:12]
    _forget(name)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    importlib.invalidate_caches()
    loader = _Loader(name, str(path))
    spec = ModuleSpec(name, loader, origin=str(path), is_package=True)
    spec.has_location = True
    spec.submodule_search_locations = [str(_folder(path))]
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look up their module here.
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        _forget(name)
        raise
    return module


def find_local_module(folder: Path, name: str) -> Path | None:
    """The file or package folder that `import name` in a space file of `folder` means; None for any other module."""
    if name == "nas" or name in sys.stdlib_module_names or not name:
        return None
    package, module = folder / name, folder / f"{name}.py"
    if (package / "__init__.py").is_file():
        return package
    if module.is_file():
        return module
    # As in Python's own import, an installed package comes before a folder without an __init__.py.
    if package.is_dir() and any(package.rglob("*.py")) and not _is_installed(name):
        return package
    return None


def imported_modules(path: Path) -> dict[str, Path]:
    """Find the local modules that a space file imports, directly or through others.

    Imports inside functions count. Of a package, all modules are taken.

    Returns:
        Files by their paths relative to the space file's folder.
    """
    folder = _folder(path)
    found: dict[str, Path] = {}
    unread = [(path, 0)]
    while unread:
        file, depth = unread.pop()
        for name in _imports(file, depth):
            module = find_local_module(folder, name)
            if module is None:
                continue
            for part in sorted(module.rglob("*.py")) if module.is_dir() else [module]:
                below = part.relative_to(folder)
                if below.as_posix() not in found:
                    found[below.as_posix()] = part
                    unread.append((part, len(below.parts) - 1))
    return dict(sorted(found.items()))


def user_line(error: BaseException) -> str | None:
    """The innermost line of a space file or local module in an error's traceback, as `FILE:LINE`, or None."""
    lines = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").startswith(SPACE_MODULE)
    ]
    return lines[-1] if lines else None


def _folder(path: Path) -> Path:
    kept = path.parent / MODULES
    return kept if kept.is_dir() else path.parent


def _is_installed(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None


def _imports(file: Path, depth: int) -> Iterator[str]:
    """The top-level modules that a file imports, where the space's folder is `depth` folders above it."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # a broken module is allowed if it is never imported
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level in (0, depth + 1):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (name.partition(".")[0] for name in names)


def _forget(name: str) -> None:
    """Drop the modules and components of an earlier load of the same file."""
    for known in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        del sys.modules[known]
    for label, kind in list(Component.types.items()):
        if kind.__module__.partition(".")[0] == name:
            del Component.types[label]


class _Finder:
    """Finder of local modules, for `sys.meta_path`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(SPACE_MODULE):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Loader that runs a module with its own import statement, and writes no bytecode, which may get out of date."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)


def _import(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """`__import__` for space files and local modules, which looks beside the space file first."""
    space = sys.modules.get((globals or {}).get("__name__", "").partition(".")[0])
    top = name.partition(".")[0]
    if level or space is None or find_local_module(Path(space.__path__[0]), top) is None:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    module = builtins.__import__(f"{space.__name__}.{name}", globals, locals, fromlist or (), 0)
    return module if fromlist else sys.modules[f"{space.__name__}.{top}"]
