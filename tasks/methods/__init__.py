"""Methods: how unlabelled images help segmentation."""

from tasks.methods.cutmix import CutMix
from tasks.methods.mean_teacher import MeanTeacher
from tasks.methods.s4gan import S4GAN
from tasks.methods.supervised import Supervised

__all__ = ["S4GAN", "CutMix", "MeanTeacher", "Supervised"]
