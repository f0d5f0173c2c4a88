"""Procedural street scenes: a data set that is part of the package and needs no download."""

from nas.tasks.data.scenes.classes import CLASSES, PALETTE
from nas.tasks.data.scenes.source import SceneItem, read_scenes

__all__ = ["CLASSES", "PALETTE", "SceneItem", "read_scenes"]
