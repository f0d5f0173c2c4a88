"""Candidates as JSON with a schema version, and a hash that ignores fields without effect."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass, replace
from typing import Any

from nas.space.component import Component, SpaceError, field_values
from nas.space.recipe import Recipe
from nas.space.walk import is_open

__all__ = ["SCHEMA", "candidate_hash", "from_json", "to_json"]

SCHEMA = 1


def to_json(candidate: Recipe) -> str:
    """Serialize a closed recipe to JSON.

    Raises:
        SpaceError: a field is still open.
    """
    if is_open(candidate):
        raise SpaceError("only a closed recipe can be written as JSON: close it first")
    return json.dumps({"schema": SCHEMA, "recipe": _encode(candidate)})


def from_json(text: str) -> Recipe:
    """Read a recipe that `to_json` wrote. Fields added since then take their defaults.

    Raises:
        SpaceError: another schema version, an unknown component or field, or text that is not a recipe.
    """
    try:
        data = json.loads(text)
        schema, recipe = data["schema"], data["recipe"]
    except (ValueError, KeyError, TypeError):
        raise SpaceError("this is not a recipe: expected JSON with 'schema' and 'recipe'") from None
    if schema != SCHEMA:
        raise SpaceError(f"the recipe has schema {schema}, this version reads {SCHEMA}: use the version that wrote it")
    candidate = _decode(recipe, "recipe")
    if not isinstance(candidate, Recipe):
        raise SpaceError(f"this is a {type(candidate).__name__}, not a recipe")
    return candidate


def candidate_hash(candidate: Recipe) -> str:
    """Hash a candidate to 16 hexadecimal digits, equal for candidates that train the same network in the same way."""
    text = json.dumps(_encode(_canonical(candidate), as_float=True), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _encode(node: Any, as_float: bool = False) -> Any:
    if isinstance(node, Component):
        values = {name: _encode(value, as_float) for name, value in field_values(node)}
        return {"type": type(node).__name__, **values}
    if isinstance(node, tuple | list):
        return [_encode(item, as_float) for item in node]
    if node is None or isinstance(node, bool | str):
        return node
    if isinstance(node, int | float):
        return float(node) if as_float else node
    raise SpaceError(f"{node!r} cannot be stored: use components, tuples, numbers, text, True, False or None")


def _decode(data: Any, path: str) -> Any:
    if isinstance(data, list):
        return tuple(_decode(item, f"{path}.{i}") for i, item in enumerate(data))
    if not isinstance(data, dict):
        return data
    kind = Component.types.get(data.get("type", ""))
    if kind is None:
        raise SpaceError(f"{path}: component {data.get('type')!r} is unknown: import the file that defines it first")
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    unknown = set(data) - known - {"type"}
    if unknown:
        raise SpaceError(f"{path}: {kind.__name__} has no field {sorted(unknown)[0]!r}")
    values = {name: _decode(value, f"{path}.{name}") for name, value in data.items() if name != "type"}
    try:
        return kind(**values)
    except TypeError as error:
        raise SpaceError(f"{path}: {error}") from None


def _canonical(node: Any) -> Any:
    if isinstance(node, tuple | list):
        return tuple(_canonical(item) for item in node)
    if isinstance(node, Component) and is_dataclass(node):
        inner = {name: _canonical(value) for name, value in field_values(node)}
        return replace(node, **inner).canonical()
    return node
