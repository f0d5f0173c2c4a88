"""What defines the shipped components: a recipe is decoded once these are imported."""

from __future__ import annotations

import importlib

__all__ = ["COMPONENTS", "know_components"]

COMPONENTS = ("nas.models", "nas.training", "tasks.shipped")


def know_components(names: tuple[str, ...] = COMPONENTS) -> None:
    """Import what recipes are made of."""
    for name in names:
        importlib.import_module(name)
