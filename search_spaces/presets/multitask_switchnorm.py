"""A U-Net with switchable norm (Luo et al. 2018), trained on segmentation and four pretext tasks.

Each task has a head on the shared encoder and weight 0.1. Training is by SGD with eight labelled and eight unlabelled
images per step; the pretext tasks share a random eight of them. On Cityscapes:

    nas-search --space presets/multitask_switchnorm.py --budget 1 --data cityscapes:PATH --no-holdout \\
        --labels 1/8 --size 256x512 --steps 40000 --repeats 1
"""

from nas import (
    SGD,
    Augment,
    Colorization,
    CrossEntropy,
    Denoising,
    Inpainting,
    Jigsaw,
    Joint,
    Poly,
    Recipe,
    Supervised,
)
from nas.models import unet

space = Recipe(
    **unet(width=64, levels=5, up="transposed", norm="switch")._asdict(),
    loss=CrossEntropy(weighting="sqrt_median"),
    pretext=(Inpainting(weight=0.1), Denoising(weight=0.1), Colorization(weight=0.1), Jigsaw(weight=0.1)),
    curriculum=Joint(),
    method=Supervised(),
    optimizer=SGD(lr=0.02, momentum=0.9, weight_decay=5e-4),
    schedule=Poly(power=0.9),
    augment=Augment(),
    labelled_batch=8,
    unlabelled_batch=8,
)
