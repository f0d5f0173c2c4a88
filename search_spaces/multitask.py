"""Everything together: topology, norm, loss, pretext tasks, semi-supervised method and optimizer."""

from dataclasses import replace

from nas import (
    ASPP,
    CPS,
    FPN,
    MLMT,
    OHEM,
    S4GAN,
    SGD,
    Adam,
    AdamW,
    Augment,
    Choice,
    ClassMix,
    Colorization,
    Cosine,
    CrossEntropy,
    CutMix,
    Denoising,
    DiceCE,
    Encoder,
    FixMatch,
    Float,
    Focal,
    Fusion,
    Inpainting,
    Int,
    Inverted,
    Jigsaw,
    Joint,
    LinkNet,
    MeanTeacher,
    Mix,
    Plain,
    Poly,
    PretrainThenFinetune,
    PseudoLabel,
    Recipe,
    Repeat,
    Residual,
    Rotation,
    SegNet,
    Separable,
    Stage,
    Supervised,
    UNet,
    UniMatch,
    cost,
)

weighting = Choice("none", "sqrt_median", "median")

# Baselines, tried first, so that a search never ends below them.
unet = Recipe(
    encoder=Encoder(stages=tuple(Stage(width=width) for width in (16, 32, 64, 128))),
    decoder=UNet(up="transposed"),
    norm="batch",
    loss=CrossEntropy(weighting="sqrt_median"),
    method=Supervised(),
    optimizer=Adam(lr=3e-3),
    schedule=Poly(),
    augment=Augment(scale=(0.75, 1.5)),
)
fast = replace(
    unet,
    encoder=Encoder(stages=tuple(Stage(block=Residual(), width=w) for w in (24, 32, 64, 96)), stem_stride=2),
    optimizer=AdamW(lr=3e-3, weight_decay=0.05),
    schedule=Cosine(),
    augment=Augment(scale=(0.75, 1.5), colour=0.3),
)
classmix = replace(fast, method=ClassMix())
multitask_switchnorm = replace(
    unet,
    norm="switch",
    pretext=(Inpainting(weight=0.1), Denoising(weight=0.1), Colorization(weight=0.1), Jigsaw(weight=0.1)),
    optimizer=SGD(lr=0.05),
)

space = Recipe(
    encoder=Encoder(
        stages=Repeat(
            Stage(
                block=Choice(Plain(), Residual(), Inverted(expand=Int(2, 6)), Separable()),
                width=Choice(16, 24, 32, 48, 64, 96, 128),
                down=Choice("max", "stride", "average"),
            ),
            times=Int(3, 5),
        ),
        stem_stride=Choice(1, 2),
        output_stride=Choice(8, 16, 32),
    ),
    decoder=Choice(
        UNet(up=Choice("bilinear", "transposed", "shuffle")),
        LinkNet(),
        SegNet(),
        FPN(width=Choice(32, 64)),
        ASPP(rates=Choice((6, 12), (6, 12, 18)), width=Choice(32, 64)),
    ),
    norm=Choice("batch", "instance", "layer", "group", "switch"),
    loss=Choice(
        CrossEntropy(weighting=weighting),
        DiceCE(weighting=weighting),
        Focal(weighting=weighting),
        OHEM(weighting=weighting),
    ),
    pretext=Mix(
        Inpainting(area=Float(0.15, 0.3)),
        Denoising(),
        Colorization(),
        Jigsaw(),
        Rotation(),
        weight=Float(0.05, 1.0, log=True),
    ),
    curriculum=Choice(Joint(), PretrainThenFinetune(fraction=Float(0.1, 0.3))),
    pretext_statistics=Choice("shared", "clean"),
    method=Choice(
        Supervised(),
        PseudoLabel(weight=Float(0.3, 3, log=True)),
        MeanTeacher(weight=Float(0.3, 10, log=True)),
        CutMix(weight=Float(0.3, 3, log=True)),
        ClassMix(weight=Float(0.3, 3, log=True)),
        FixMatch(weight=Float(0.3, 3, log=True)),
        UniMatch(weight=Float(0.3, 3, log=True)),
        CPS(weight=Float(0.3, 6, log=True)),
        S4GAN(threshold=Float(0.5, 0.9), threshold_kind=Choice("absolute", "quantile")),
        MLMT(threshold=Float(0.02, 0.3, log=True)),
        Fusion(segmentation=S4GAN(threshold_kind="quantile"), branch=MLMT(threshold=Float(0.02, 0.3, log=True))),
    ),
    optimizer=Choice(
        SGD(lr=Float(1e-2, 2e-1, log=True), momentum=Float(0.8, 0.99)),
        Adam(lr=Float(5e-4, 1e-2, log=True)),
        AdamW(lr=Float(5e-4, 1e-2, log=True), weight_decay=Float(1e-3, 1e-1, log=True)),
    ),
    schedule=Choice(Poly(power=0.9), Cosine()),
    augment=Augment(scale=Choice((0.5, 2.0), (0.75, 1.5)), colour=Choice(0.0, 0.3)),
    labelled_batch=Choice(4, 8),
    unlabelled_batch=Choice(4, 8),
    clip=Choice(None, 5.0),
    baselines=(unet, fast, classmix, multitask_switchnorm),
).where(lambda candidate: cost(candidate).macs < 0.45e9)
