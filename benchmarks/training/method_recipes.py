"""Recipes that benchmarks.methods compares: a small U-Net, trained with each method or pretext task."""

from __future__ import annotations

from dataclasses import replace

from nas import (
    CPS,
    MLMT,
    S4GAN,
    Augment,
    ClassMix,
    Colorization,
    Component,
    CutMix,
    Denoising,
    FixMatch,
    Fusion,
    Inpainting,
    Jigsaw,
    MeanTeacher,
    PseudoLabel,
    Recipe,
    Rotation,
    Supervised,
    UniMatch,
)
from nas.search_spaces.multitask import fast

__all__ = ["METHODS", "recipe"]

# Small enough for some hundred trainings on a CPU: 0.4 M parameters, finest features at half the resolution. With few
# labels, supervised training gains little in the last thousand of 4,000 steps. Only the methods jitter colours.
SMALL_UNET = replace(fast, augment=Augment(scale=(0.75, 1.5)), labelled_batch=4, unlabelled_batch=4)

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
    """Return the recipe of the small U-Net with a method, or jointly with a pretext task."""
    if name in _TASKS:
        return replace(SMALL_UNET, pretext=(replace(_TASKS[name], weight=0.1),))
    return replace(SMALL_UNET, method=_METHODS[name])
