"""Lets torchvision's wheel for GPUs be imported beside torch's small build for CPUs, which its own code cannot run on.

Imported by every Python whose PYTHONPATH holds this folder: the workers of a search that a test starts.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

_kept: list[Any] = []  # operators go when their library does


def declare() -> None:
    """Declare the two operators that torchvision looks for when it is imported; neither is ever called."""
    try:
        builds = version("torch"), version("torchvision")
    except PackageNotFoundError:
        return
    if _kept or "+cpu" not in builds[0] or "+cpu" in builds[1]:
        return
    import torch

    if hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)


declare()
