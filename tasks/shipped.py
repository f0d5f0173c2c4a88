"""All shipped losses, pretext tasks and methods. Importing them makes recipes that use them readable."""

from nas.tasks.methods import (
    CPS,
    MLMT,
    S4GAN,
    ClassMix,
    CutMix,
    FixMatch,
    Fusion,
    MeanTeacher,
    PseudoLabel,
    Supervised,
    UniMatch,
)
from nas.tasks.pretext import Colorization, Denoising, Inpainting, Jigsaw, Rotation
from nas.tasks.segmentation import OHEM, CrossEntropy, DiceCE, Focal

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
