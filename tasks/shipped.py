"""Every shipped loss, pretext task and method, which recipes are decoded with."""

from tasks.colorization import Colorization
from tasks.denoising import Denoising
from tasks.inpainting import Inpainting
from tasks.jigsaw import Jigsaw
from tasks.methods import (
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
from tasks.rotation import Rotation
from tasks.segmentation import OHEM, CrossEntropy, DiceCE, Focal

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
