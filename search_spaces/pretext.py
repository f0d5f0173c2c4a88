"""Pretext tasks and their weights, for a fixed U-Net."""

from dataclasses import replace

from nas import (
    Choice,
    Colorization,
    Denoising,
    Float,
    Inpainting,
    Jigsaw,
    Joint,
    Mix,
    PretrainThenFinetune,
    Rotation,
)
from nas.search_spaces.unet import space as unet

space = replace(
    unet,
    pretext=Mix(
        Inpainting(area=Float(0.15, 0.3)),
        Denoising(),
        Colorization(rebalance=Choice(False, True)),
        Jigsaw(grid=Choice(2, 3)),
        Rotation(),
        weight=Float(0.05, 1.0, log=True),
    ),
    curriculum=Choice(Joint(), PretrainThenFinetune(fraction=Float(0.2, 0.5))),
    pretext_statistics=Choice("shared", "clean"),
    baselines=(unet,),
)
