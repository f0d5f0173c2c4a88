"""The recipes that benchmarks.methods compares: one small U-Net, trained with each method or pretext task."""

from __future__ import annotations

from dataclasses import replace

from nas import (
    CPS,
    MLMT,
    S4GAN,
    AdamW,
    Augment,
    ClassMix,
    Colorization,
    Component,
    Cosine,
    CrossEntropy,
    CutMix,
    Denoising,
    Encoder,
    FixMatch,
    Fusion,
    Inpainting,
    Jigsaw,
    MeanTeacher,
    PseudoLabel,
    Recipe,
    Residual,
    Rotation,
    Stage,
    Supervised,
    UNet,
    UniMatch,
)

__all__ = ["METHODS", "recipe"]

# Small enough for some hundred trainings on a CPU: 0.4 M parameters, its finest features at half the resolution.
# Supervised training on few labels is at its best after some 2,500 of 4,000 steps; unlabelled images help later.
SMALL_UNET = Recipe(
    encoder=Encoder(stages=tuple(Stage(block=Residual(), width=w) for w in (24, 32, 64, 96)), stem_stride=2),
    decoder=UNet(up="transposed"),
    norm="batch",
    loss=CrossEntropy(weighting="sqrt_median"),
    method=Supervised(),
    optimizer=AdamW(lr=3e-3, weight_decay=0.05),
    schedule=Cosine(),
    augment=Augment(scale=(0.75, 1.5)),
    labelled_batch=4,
    unlabelled_batch=4,
)

_METHODS: dict[str, Component] = {
    "supervised": Supervised(),
    "pseudo_label": PseudoLabel(),
    "mean_teacher": MeanTeacher(),
    "cutmix": CutMix(confidence=0.9, target="hard"),
    "classmix": ClassMix(confidence=0.9),
    "fixmatch": FixMatch(),
    "unimatch": UniMatch(),
    "cps": CPS(),
    "s4gan": S4GAN(),
    "mlmt": MLMT(),
    "s4gan+mlmt": Fusion(S4GAN(), MLMT()),
}
_TASKS: dict[str, Component] = {
    "inpainting": Inpainting(),
    "denoising": Denoising(),
    "colorization": Colorization(),
    "jigsaw": Jigsaw(),
    "rotation": Rotation(),
}
METHODS = (*_METHODS, *_TASKS)


def recipe(name: str) -> Recipe:
    """The small U-Net trained with the method or, jointly, the pretext task of that name."""
    if name in _TASKS:
        return replace(SMALL_UNET, pretext=(replace(_TASKS[name], weight=0.1),))
    return replace(SMALL_UNET, method=_METHODS[name])
