"""What a network is trained on: segmentation losses, pretext tasks and semi-supervised methods.

Data sets are in `tasks.data`, which is not loaded from here.
"""

from tasks.colorization import Colorization
from tasks.denoising import Denoising
from tasks.inpainting import Inpainting
from tasks.jigsaw import Jigsaw
from tasks.methods import S4GAN, CutMix, MeanTeacher, Supervised
from tasks.segmentation import OHEM, CrossEntropy, DiceCE, Focal

__all__ = [
    "OHEM",
    "S4GAN",
    "Colorization",
    "CrossEntropy",
    "CutMix",
    "Denoising",
    "DiceCE",
    "Focal",
    "Inpainting",
    "Jigsaw",
    "MeanTeacher",
    "Supervised",
]
