"""Methods: how unlabelled images help segmentation."""

from tasks.methods.classmix import ClassMix
from tasks.methods.cps import CPS
from tasks.methods.cutmix import CutMix
from tasks.methods.fixmatch import FixMatch
from tasks.methods.fusion import Fusion
from tasks.methods.mean_teacher import MeanTeacher
from tasks.methods.mlmt import MLMT
from tasks.methods.pseudo_label import PseudoLabel
from tasks.methods.s4gan import S4GAN
from tasks.methods.supervised import Supervised
from tasks.methods.unimatch import UniMatch

__all__ = [
    "CPS",
    "MLMT",
    "S4GAN",
    "ClassMix",
    "CutMix",
    "FixMatch",
    "Fusion",
    "MeanTeacher",
    "PseudoLabel",
    "Supervised",
    "UniMatch",
]
