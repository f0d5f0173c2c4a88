"""Semi-supervised methods and their settings, for a small fixed network."""

from dataclasses import replace

from nas import (
    CPS,
    MLMT,
    S4GAN,
    AdamW,
    Augment,
    Choice,
    ClassMix,
    CutMix,
    FixMatch,
    Float,
    Fusion,
    MeanTeacher,
    PseudoLabel,
    Supervised,
    UniMatch,
)
from nas.search_spaces.multitask import fast

weight = Float(0.3, 3, log=True)
# Lower than in the papers, because short trainings from random weights are rarely so confident.
confidence = Float(0.6, 0.97)
rampup = Float(0.1, 0.5)
s4gan = S4GAN(
    threshold=Float(0.5, 0.9),
    self_training=weight,
    threshold_kind=Choice("absolute", "quantile"),
    adversarial=Choice("matching", "bce"),
)
branch = MLMT(threshold=Float(0.02, 0.3, log=True), weight=weight)

mean_teacher = replace(fast, method=MeanTeacher())
cutmix = replace(fast, method=CutMix(confidence=0.9, target="hard"))

space = replace(
    fast,
    method=Choice(
        Supervised(),
        PseudoLabel(confidence=confidence, weight=weight, warmup=Float(0.0, 0.5)),
        MeanTeacher(weight=Float(0.3, 10, log=True), rampup=rampup),
        CutMix(confidence=confidence, weight=weight, target=Choice("soft", "hard")),
        ClassMix(confidence=confidence, weight=weight),
        FixMatch(confidence=confidence, weight=weight),
        UniMatch(confidence=confidence, weight=weight),
        CPS(weight=Float(0.3, 6, log=True), rampup=rampup),
        s4gan,
        branch,
        Fusion(segmentation=s4gan, branch=branch),
    ),
    optimizer=AdamW(lr=Float(1e-3, 1e-2, log=True), weight_decay=0.05),
    augment=Augment(scale=(0.75, 1.5), colour=Choice(0.0, 0.3)),
    labelled_batch=Choice(4, 8),
    unlabelled_batch=Choice(4, 8, 16),
    baselines=(
        fast,
        mean_teacher,
        cutmix,
    ),
)
