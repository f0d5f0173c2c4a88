"""Component, the base of every part of a recipe: a frozen dataclass known by its class name."""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

from nas.errors import UserError

__all__ = ["SPACE_MODULE", "Component", "SpaceError", "field_values"]

SPACE_MODULE = "nas_space_"
"""How the names of the modules begin that space files are loaded as."""


class SpaceError(UserError):
    """A search space or a recipe that cannot be used; the message names the path."""


class Component:
    """A part of a recipe, such as a block, a decoder, a pretext task or an optimizer.

    Subclasses are frozen dataclasses. Any field may hold a domain instead of a value; a
    component whose fields are all closed can build itself. Defining the dataclass is all that
    is needed to make it searchable and to read it back from JSON.
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
        """The same component with every field that has no effect set to its default."""
        return self


def field_values(component: Any) -> list[tuple[str, Any]]:
    """Names and values of a component's fields, leaving out those marked as not part of it."""
    if not is_dataclass(component):
        return []
    return [(f.name, getattr(component, f.name)) for f in fields(component) if not f.metadata.get("aside")]


def _replaces(new: type, old: type) -> bool:
    """Whether a class may take the place of one of its name: it belongs to another space, or is the same class again.

    A script that imports a module beside its space file defines its components twice, and so does a space file that is
    the script itself.
    """
    spaces = [kind.__module__.partition(".")[0] for kind in (new, old)]
    if spaces[0] != spaces[1] and all(space.startswith(SPACE_MODULE) for space in spaces):
        return True
    try:
        return inspect.getsource(new) == inspect.getsource(old)
    except (OSError, TypeError):
        return False


def _place(kind: type) -> str:
    """The module of a class as its user knows it."""
    if kind.__module__.startswith(SPACE_MODULE):
        return str(getattr(sys.modules.get(kind.__module__), "__file__", kind.__module__))
    return kind.__module__
