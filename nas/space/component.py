"""Component, the base class of every part of a recipe: a frozen dataclass identified by its class name."""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

from nas.errors import UserError

__all__ = ["SPACE_MODULE", "Component", "SpaceError", "field_values"]

SPACE_MODULE = "nas_space_"
"""Prefix of the module names under which space files are loaded."""


class SpaceError(UserError):
    """An unusable search space or recipe. The message names the path of the field."""


class Component:
    """Base class of the parts of a recipe, such as blocks, decoders, pretext tasks and optimizers.

    Subclasses are frozen dataclasses. Any field may hold a domain instead of a value; a component whose fields are
    all closed can build itself. Defining the dataclass makes it searchable and readable from JSON; there is nothing
    to register.
    """

    types: ClassVar[dict[str, type[Component]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        known = Component.types.get(cls.__name__)
        if known is not None and known.__module__ != cls.__module__ and not _replaces(cls, known):
            raise SpaceError(
                f"two components are called {cls.__name__} ({_place(known)} and {_place(cls)}): "
                "rename one, since recipes are stored by class name"
            )
        Component.types[cls.__name__] = cls

    def canonical(self) -> Component:
        """Return the component with every field that has no effect set to its default."""
        return self


def field_values(component: Any) -> list[tuple[str, Any]]:
    """List names and values of a component's fields, by their metadata without some of them.

    Left out are fields that are `excluded`, and at their default those of `omit_default`, which a component got later:
    hashes and descriptions of components without them stay the same.
    """
    if not is_dataclass(component):
        return []
    values = [(f, getattr(component, f.name)) for f in fields(component) if not f.metadata.get("excluded")]
    return [(f.name, value) for f, value in values if not (f.metadata.get("omit_default") and value == f.default)]


def _replaces(new: type, old: type) -> bool:
    """Whether a class may replace one of the same name: it belongs to another space, or has the same source.

    The same source is loaded twice where a script imports a module beside its space file, or is a space file itself.
    """
    spaces = [kind.__module__.partition(".")[0] for kind in (new, old)]
    if spaces[0] != spaces[1] and all(space.startswith(SPACE_MODULE) for space in spaces):
        return True
    try:
        return inspect.getsource(new) == inspect.getsource(old)
    except (OSError, TypeError):
        return False


def _place(kind: type) -> str:
    """The file of a class from a space file, or the module of any other."""
    if kind.__module__.startswith(SPACE_MODULE):
        return str(getattr(sys.modules.get(kind.__module__), "__file__", kind.__module__))
    return kind.__module__
