"""Training tasks: segmentation losses, pretext tasks and semi-supervised methods.

Each name is loaded when it is first used, because importing `nas.tasks.data` must not import torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = [
    "CPS",
    "MLMT",
    "OHEM",
    "S4GAN",
    "ClassMix",
    "Colorization",
    "CrossEntropy",
    "CutMix",
    "Denoising",
    "DiceCE",
    "FixMatch",
    "Focal",
    "Fusion",
    "Inpainting",
    "Jigsaw",
    "MeanTeacher",
    "PseudoLabel",
    "Rotation",
    "Supervised",
    "UniMatch",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nas.tasks' has no attribute {name!r}")
    value = getattr(importlib.import_module("nas.tasks.shipped"), name)
    globals()[name] = value
    return value
