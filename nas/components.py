"""The modules that define the shipped components, which must be imported before a recipe is decoded."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.space import Recipe

__all__ = ["COMPONENTS", "has_own_components", "know_components"]

COMPONENTS = ("nas.models", "nas.training", "nas.tasks.shipped")


def know_components(names: tuple[str, ...] = COMPONENTS) -> None:
    """Import the modules that define the components of recipes."""
    for name in names:
        importlib.import_module(name)


def has_own_components(space: Recipe) -> bool:
    """Whether a space or one of its baselines uses components that its file defines.

    Their checkpoints can be read only with the space file.
    """
    from nas.space import Component, space_to_data

    shipped = {name.partition(".")[0] for name in COMPONENTS}
    used = {name for recipe in (space, *space.baselines) for name in _types(space_to_data(recipe))}
    return any(Component.types[name].__module__.partition(".")[0] not in shipped for name in used)


def _types(data: Any) -> set[str]:
    """The type names of the components in a serialized space."""
    if isinstance(data, list):
        return {name for item in data for name in _types(item)}
    if not isinstance(data, dict):
        return set()
    inner = {name for item in data.values() for name in _types(item)}
    return inner | ({data["type"]} if "domain" not in data and isinstance(data.get("type"), str) else set())
