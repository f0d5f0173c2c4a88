"""Classes and colours of the scenes."""

from __future__ import annotations

from nas.tasks.data.palettes import CITYSCAPES

__all__ = [
    "BUILDING",
    "CAR",
    "CLASSES",
    "PALETTE",
    "PAVEMENT",
    "PERSON",
    "POLE",
    "ROAD",
    "SIGN",
    "SKY",
    "TREE",
]

CLASSES = ("sky", "road", "pavement", "building", "tree", "car", "person", "pole", "sign")
SKY, ROAD, PAVEMENT, BUILDING, TREE, CAR, PERSON, POLE, SIGN = range(len(CLASSES))

_SAME = {"pavement": "sidewalk", "tree": "vegetation", "sign": "traffic sign"}
PALETTE = tuple(CITYSCAPES[_SAME.get(name, name)] for name in CLASSES)
