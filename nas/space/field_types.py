"""Check the fields of a space's components against their type annotations."""

from __future__ import annotations

import reprlib
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from nas.space.component import Component, SpaceError, field_values
from nas.space.domains import Choice, Float, Int, Mix, Repeat, is_number, join

__all__ = ["check_types"]

NAMES: dict[Any, str] = {int: "whole number", float: "number", bool: "True or False", NoneType: "None"}
"""Plain types that are checked. `str` is not: components check their texts when they are built."""


def check_types(node: Any, path: str = "") -> None:
    """Check that each field of each component holds a value of its annotated type, or a domain of such values.

    `int`, `float`, `bool`, `None`, `Literal`, components, and tuples and unions of these are checked. Fields with
    other annotations may hold anything.

    Raises:
        SpaceError: a field holds something else. The message names path, class, value and the allowed type.
    """
    types = _field_types(node)
    for name, part in _parts(node):
        at, kind = join(path, name), types.get(name, Any)
        wrong = _misfits(part, kind)
        if wrong:
            verb = "is" if wrong[0] is part else "holds"
            field = f"{at} ({type(node).__name__}.{name})"
            raise SpaceError(f"{field} {verb} {_shown(wrong[0])}: give {_described(kind)}")
        check_types(part, at)


def _field_types(node: Any) -> dict[str, Any]:
    """The annotations of a component's fields, without fields at their default or of unreadable annotations."""
    if not isinstance(node, Component) or not is_dataclass(node):
        return {}
    try:
        hints = get_type_hints(type(node))
    except Exception:  # resolving the annotations of a user's component may raise anything
        return {}
    return {name: kind for name, kind in hints.items() if getattr(node, name) is not getattr(type(node), name, node)}


def _parts(node: Any) -> list[tuple[Any, Any]]:
    """Names and values of a node's children."""
    if isinstance(node, Choice):
        return list(zip(node.labels, node.options, strict=True))
    if isinstance(node, Repeat):
        return [("*", node.template)]
    if isinstance(node, Mix):
        return list(zip(node.labels, node.parts, strict=True))
    if isinstance(node, tuple | list):
        return list(enumerate(node))
    return field_values(node) if isinstance(node, Component) else []


def _misfits(value: Any, kind: Any) -> list[Any]:
    """List what is not of a type: `value` itself, or some of its options or items."""
    if isinstance(value, Choice):
        return [wrong for option in value.options for wrong in _misfits(option, kind)]
    if get_origin(kind) in (Union, UnionType):
        return [value] if all(_misfits(value, arm) for arm in get_args(kind)) else []
    if get_origin(kind) is tuple:
        return _misfits_of_tuple(value, get_args(kind))
    return [] if _is_of(value, kind) else [value]


def _misfits_of_tuple(value: Any, kinds: tuple[Any, ...]) -> list[Any]:
    if kinds[1:] == (...,):
        if isinstance(value, Repeat):
            value = (value.template,)
        elif isinstance(value, Mix):
            value = value.parts
        kinds = kinds[:1] * len(value) if isinstance(value, tuple | list) else kinds
    if not isinstance(value, tuple | list) or len(value) != len(kinds):
        return [value]
    return [wrong for item, kind in zip(value, kinds, strict=True) for wrong in _misfits(item, kind)]


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value, an `Int` or a `Float` fits a type. True for a type that is not checked."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind is int:
        return isinstance(value, Int) or (is_number(value) and isinstance(value, int))
    if kind is float:
        return isinstance(value, Int | Float) or is_number(value)
    if kind in NAMES or (isinstance(kind, type) and issubclass(kind, Component)):
        return isinstance(value, kind)
    return True


def _described(kind: Any, plural: bool = False) -> str:
    """Describe a type for people: `a whole number`, `a tuple of Stages`, `a number or None`, `a Block`."""
    inner = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(_described, inner))
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, inner))
    if get_origin(kind) is tuple:
        items = _described(inner[0], plural=True) if inner[1:] == (...,) else " and ".join(map(_described, inner))
        return f"a tuple of {items}" if inner[0] is not Any else "a tuple"
    name = NAMES.get(kind, getattr(kind, "__name__", str(kind)))
    if kind in (bool, NoneType):
        return name
    return f"{name}s" if plural else f"an {name}" if name[0] in "AEIO" else f"a {name}"


def _shown(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}, not {value.__name__}(...)"
    return f"{type(value).__name__}(...)" if isinstance(value, Component) else reprlib.repr(value)
