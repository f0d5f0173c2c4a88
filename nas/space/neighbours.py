"""The modules beside a space file: imported for it alone, and listed so that a run can keep copies of them.

A space file and the modules beside it are loaded as a package of their own, named after the file's full path. Their
import statements look beside the space file first; nobody else's do, and `sys.path` is never touched. So two spaces may
each have a `helpers.py`, and a neighbour called `tasks.py` changes nothing for the toolkit or for installed packages.
Names of the standard library, and `nas`, are never looked for beside a space.
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

__all__ = ["MODULES", "find_neighbour", "imported_neighbours", "own_line", "run_space_file"]

MODULES = "space_modules"
"""The folder beside a run's space file that holds copies of what was beside the original."""


def run_space_file(path: Path) -> ModuleType:
    """Run a space file, and afresh the modules beside it that it imports.

    Raises:
        BaseException: whatever the file raises.
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
    # Dataclasses look their module up here.
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        _forget(name)
        raise
    return module


def find_neighbour(folder: Path, name: str) -> Path | None:
    """The file or the package's folder that `import name` means in a space file of `folder`, None for any other."""
    if name == "nas" or name in sys.stdlib_module_names or not name:
        return None
    package, module = folder / name, folder / f"{name}.py"
    if (package / "__init__.py").is_file():
        return package
    if module.is_file():
        return module
    # As everywhere in Python, a folder without an __init__.py comes after an installed package.
    if package.is_dir() and any(package.rglob("*.py")) and not _is_installed(name):
        return package
    return None


def imported_neighbours(path: Path) -> dict[str, Path]:
    """Files by their paths below the space file's folder: what it imports beside it, and what that imports in turn.

    Imports inside functions count. A package is taken whole.
    """
    folder = _folder(path)
    found: dict[str, Path] = {}
    left = [(path, 0)]
    while left:
        file, depth = left.pop()
        for name in _imports(file, depth):
            neighbour = find_neighbour(folder, name)
            if neighbour is None:
                continue
            for part in sorted(neighbour.rglob("*.py")) if neighbour.is_dir() else [neighbour]:
                below = part.relative_to(folder)
                if below.as_posix() not in found:
                    found[below.as_posix()] = part
                    left.append((part, len(below.parts) - 1))
    return dict(sorted(found.items()))


def own_line(error: BaseException) -> str | None:
    """The last line of a space's own files that an error passed through, as `FILE:LINE`, or None."""
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
    """The first part of each name that a file imports, as seen from the space's folder, `depth` folders above."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # a module that is never reached may be broken
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level in (0, depth + 1):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (name.partition(".")[0] for name in names)


def _forget(name: str) -> None:
    """Drop what an earlier load of the same file left, so that all of it is read again."""
    for known in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        del sys.modules[known]
    for label, kind in list(Component.types.items()):
        if kind.__module__.partition(".")[0] == name:
            del Component.types[label]


class _Finder:
    """Finds the modules beside space files; to be put into `sys.meta_path`."""

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
    """Runs a module of a space with an import statement of its own; keeps no bytecode, which may be out of date."""

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
    """What an import statement in a space file does."""
    space = sys.modules.get((globals or {}).get("__name__", "").partition(".")[0])
    top = name.partition(".")[0]
    if level or space is None or find_neighbour(Path(space.__path__[0]), top) is None:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    module = builtins.__import__(f"{space.__name__}.{name}", globals, locals, fromlist or (), 0)
    return module if fromlist else sys.modules[f"{space.__name__}.{top}"]
