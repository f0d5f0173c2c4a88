"""Procedural street scenes: the data set that comes with the package, nothing to download."""

from nas.tasks.data.scenes.classes import CLASSES, PALETTE
from nas.tasks.data.scenes.source import SceneItem, read_scenes

__all__ = ["CLASSES", "PALETTE", "SceneItem", "read_scenes"]
