"""Encoders that start from ImageNet beside own ones; decoder, method and how fast the encoder learns are open.

    nas-search --space pretrained.py --budget 40 --data folder:PATH --weights-dir DIR

It needs timm (pip install 'fewlabel-nas[timm]'). Weights lie in DIR or are downloaded. Networks and baselines whose
weights are missing are left out.
"""

from dataclasses import replace

from nas import (
    ASPP,
    FPN,
    SGD,
    AdamW,
    Augment,
    Choice,
    ClassMix,
    Cosine,
    CrossEntropy,
    Encoder,
    FixMatch,
    Float,
    MeanTeacher,
    Plain,
    Poly,
    Recipe,
    Repeat,
    Residual,
    Stage,
    Supervised,
    Timm,
    UNet,
    UniMatch,
)
from nas.search_spaces.multitask import fast

# What people make by hand: a well-known encoder that learns slower than its decoder, or not at all.
mobilenet = Recipe(
    encoder=Timm("mobilenetv2_100", "imagenet", rate=0.2),
    decoder=UNet(),
    loss=CrossEntropy(weighting="sqrt_median"),
    method=Supervised(),
    optimizer=AdamW(lr=2e-3, weight_decay=0.05),
    schedule=Poly(),
    augment=Augment(scale=(0.75, 1.5), colour=0.3),
)
resnet = replace(mobilenet, encoder=Timm("resnet18", "imagenet", rate=0.2), decoder=ASPP(width=64))
frozen = replace(mobilenet, encoder=Timm("mobilenetv2_100", "imagenet", frozen="cached"))
classmix = replace(mobilenet, method=ClassMix())

rate = Float(0.03, 1.0, log=True)


def pretrained(name: str, stages: int) -> Timm:
    """An encoder from ImageNet, of which the first stages or all may be frozen.

    Where all are, the supervised method trains on cached features; with other methods "cached" is the same as "all".
    """
    return Timm(
        name,
        weights="imagenet",
        output_stride=Choice(16, 32),
        frozen=Choice(*range(stages), "cached"),
        rate=rate,
        statistics=Choice("batch", "frozen"),
    )


space = replace(
    mobilenet,
    encoder=Choice(
        Encoder(
            stages=Repeat(Stage(block=Choice(Plain(), Residual()), width=Choice(24, 32, 64, 96)), times=4),
            stem_stride=2,
        ),
        # Five families, from 0.3 to 11 million parameters.
        *(pretrained(name, 3) for name in ("mobilenetv3_small_050", "mobilenetv2_100", "tf_efficientnet_lite0")),
        pretrained("resnet18", 3),
        pretrained("convnext_atto", 2),
    ),
    decoder=Choice(
        UNet(up=Choice("bilinear", "transposed")),
        FPN(width=Choice(32, 64)),
        ASPP(width=Choice(32, 64)),
    ),
    norm=Choice("batch", "group"),
    method=Choice(
        Supervised(),
        MeanTeacher(weight=Float(0.3, 10, log=True)),
        ClassMix(weight=Float(0.3, 3, log=True)),
        FixMatch(weight=Float(0.3, 3, log=True)),
        UniMatch(weight=Float(0.3, 3, log=True)),
    ),
    optimizer=Choice(
        SGD(lr=Float(1e-2, 1e-1, log=True)),
        AdamW(lr=Float(5e-4, 1e-2, log=True), weight_decay=Float(1e-3, 1e-1, log=True)),
    ),
    schedule=Choice(Poly(), Cosine()),
    augment=Augment(scale=Choice((0.5, 2.0), (0.75, 1.5)), colour=Choice(0.0, 0.3)),
    baselines=(mobilenet, resnet, frozen, classmix, fast),
)
