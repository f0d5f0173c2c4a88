"""Semi-supervised methods: training with unlabelled images."""

from nas.tasks.methods.classmix import ClassMix
from nas.tasks.methods.cps import CPS
from nas.tasks.methods.cutmix import CutMix
from nas.tasks.methods.fixmatch import FixMatch
from nas.tasks.methods.fusion import Fusion
from nas.tasks.methods.mean_teacher import MeanTeacher
from nas.tasks.methods.mlmt import MLMT
from nas.tasks.methods.pseudo_label import PseudoLabel
from nas.tasks.methods.s4gan import S4GAN
from nas.tasks.methods.supervised import Supervised
from nas.tasks.methods.unimatch import UniMatch

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
