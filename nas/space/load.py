"""Load a space file: a Python file that defines `space`, a Recipe."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from nas.space.candidate import to_json
from nas.space.component import SPACE_MODULE, Component, SpaceError
from nas.space.domains import Choice, Domain, Float, Int
from nas.space.field_types import check_types
from nas.space.local_modules import run_space_file, user_line
from nas.space.recipe import Recipe
from nas.space.walk import check, is_open

__all__ = ["find_shipped", "find_space_file", "load_space"]

SHIPPED = Path(__file__).parents[1] / "search_spaces"
"""The folder of the shipped spaces."""

REQUIRED = ("encoder", "decoder", "loss", "method", "optimizer", "schedule", "augment")
"""Fields that every recipe must set."""


def find_space_file(name: str | Path) -> Path:
    """Find a space file by its path, or by its path below the shipped `search_spaces`.

    Raises:
        SpaceError: there is no such file. The message names the shipped ones.
    """
    path = find_shipped(name)
    if path is not None and (path.suffix == ".py" or Path(name).is_file()):
        return path
    files = (f.relative_to(SHIPPED) for f in SHIPPED.rglob("*.py") if f.name != "__init__.py")
    names = sorted((f.as_posix() for f in files), key=lambda f: (f.count("/"), f))
    raise SpaceError(f"{name}: there is no such file; shipped spaces: {', '.join(names)}")


def find_shipped(name: str | Path) -> Path | None:
    """Find any file by its path, or by its path below the shipped `search_spaces` ("presets/unet.py"); else None."""
    path = Path(name)
    places = (path, SHIPPED / path, SHIPPED.parent / path)
    return next((place for place in places if place.is_file()), None)


def load_space(name: str | Path) -> Recipe:
    """Load and check the space that a file defines as `space`.

    The file may import modules beside it, see `nas.space.local_modules`.

    Raises:
        SpaceError: the file is missing, fails to run, or defines no usable space.
    """
    path = find_space_file(name)
    module = _run(path)
    space = getattr(module, "space", None)
    if not isinstance(space, Recipe):
        raise SpaceError(f"{path} defines no space: it needs a line `space = Recipe(...)`")
    try:
        _check_parts(space)
        check_types(space)
        check(space)
        for i, baseline in enumerate(space.baselines):
            if not isinstance(baseline, Recipe) or is_open(baseline):
                raise SpaceError(f"baselines.{i} is not a closed recipe: give every field a value")
            _check_parts(baseline, f"baselines.{i}.")
            check_types(baseline, f"baselines.{i}")
            to_json(baseline)
    except SpaceError as error:
        raise SpaceError(f"{path}: {error}") from None
    return replace(space, baseline_names=_names(space.baselines, module))


def _names(baselines: tuple[Recipe, ...], module: ModuleType) -> tuple[str, ...]:
    """The variable that holds each baseline in the file, or "" where there is none."""
    variables = {id(value): name for name, value in reversed(vars(module).items()) if name != "space"}
    return tuple(variables.get(id(baseline), "") for baseline in baselines)


def _check_parts(recipe: Recipe, where: str = "") -> None:
    """Check that all required fields are set, and hold components (not their names)."""
    for name in REQUIRED:
        value = getattr(recipe, name)
        if value is None:
            raise SpaceError(f"{where}{name} is not set: give the recipe one, as search_spaces/unet.py does")
        for option in value.options if isinstance(value, Choice) else (value,):
            if not isinstance(option, Component | Domain) or isinstance(option, Int | Float):
                raise SpaceError(f"{where}{name} is {option!r}: give a component, as search_spaces/unet.py does")
    for task in recipe.pretext if isinstance(recipe.pretext, tuple | list) else ():
        if not isinstance(task, Component | Domain):
            raise SpaceError(f"{where}pretext holds {task!r}: give components, such as Jigsaw()")


def _run(path: Path) -> ModuleType:
    if path.suffix != ".py":
        raise SpaceError(f"{path} is not a Python file: a space file ends in .py")
    try:
        return run_space_file(path)
    except SpaceError as error:
        raise SpaceError(f"{path}: {error}") from None
    except (Exception, SystemExit) as error:
        raise SpaceError(f"{_place(error, path)}: {_reason(error, path)}") from None


def _place(error: BaseException, path: Path) -> str:
    """The user's file and line that an error comes from."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}:{error.lineno}"
    return user_line(error) or str(path)


def _reason(error: BaseException, path: Path) -> str:
    text = re.sub(rf"\b{SPACE_MODULE}[0-9a-f]+\.", "", next(iter(str(error).splitlines()), ""))
    if isinstance(error, SystemExit):
        text += "; a space file must not call sys.exit"
    name = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    if name in sys.stdlib_module_names and (path.parent / f"{name}.py").exists():
        text += f"; {name}.py beside it is not read, because Python has a module of that name: rename the file"
    return f"{type(error).__name__}: {text}"
