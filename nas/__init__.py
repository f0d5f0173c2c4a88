"""Neural architecture search for semantic segmentation with few labels.

Importing this package loads nothing heavy; each name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors complete a call by
    from nas.api import resume as resume
    from nas.api import search as search
    from nas.pretraining import pretrain as pretrain

__version__ = "0.1.0"

_HOMES = {
    "nas.space": (
        "Choice",
        "Component",
        "Float",
        "Int",
        "Joint",
        "Mix",
        "PretrainThenFinetune",
        "Recipe",
        "Repeat",
        "close",
        "load_space",
    ),
    "nas.models": (
        "ASPP",
        "FPN",
        "Block",
        "Bottleneck",
        "Decoder",
        "DecoderNet",
        "DeepLabv2",
        "Encoder",
        "Inverted",
        "LinkNet",
        "MakeNorm",
        "Norms",
        "Plain",
        "Pretrained",
        "Residual",
        "SegNet",
        "Separable",
        "Stage",
        "Timm",
        "UNet",
    ),
    "nas.training": (
        "SGD",
        "Adam",
        "AdamW",
        "Augment",
        "Batch",
        "Constant",
        "Cosine",
        "Loss",
        "Method",
        "Optimizer",
        "Poly",
        "PretextTask",
        "Schedule",
        "cost",
    ),
    "nas.api": ("resume", "search"),
    "nas.pretraining": ("pretrain",),
    "nas.runs.run": ("Run",),
    "nas.export": ("load", "predictor"),
    "nas.errors": ("UserError",),
    "nas.tasks": (
        "CPS",
        "MLMT",
        "OHEM",
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
        "S4GAN",
        "Supervised",
        "UniMatch",
    ),
    "nas.tasks.pretext.heads": ("PixelHead", "TileHead"),
    "nas.tasks.methods.semi_supervised": ("SemiSupervised",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'nas' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
