"""Topology and normalization. Every candidate has the same supervised training."""

from dataclasses import replace

from nas import (
    ASPP,
    FPN,
    Bottleneck,
    Choice,
    Encoder,
    Int,
    Inverted,
    LinkNet,
    Norms,
    Plain,
    Repeat,
    Residual,
    SegNet,
    Separable,
    Stage,
    UNet,
    cost,
)
from nas.search_spaces.unet import space as unet

NORMS = ("batch", "instance", "layer", "group", "switch")

space = replace(
    unet,
    encoder=Encoder(
        stages=Repeat(
            Stage(
                block=Choice(
                    Plain(kernel=Choice(3, 5)),
                    Residual(squeeze_excite=Choice(False, True)),
                    Bottleneck(),
                    Inverted(expand=Int(2, 6)),
                    Separable(kernel=Choice(3, 5)),
                ),
                width=Choice(16, 24, 32, 48, 64, 96),
                depth=Int(1, 2),
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
        ASPP(rates=Choice((6, 12), (6, 12, 18)), width=Choice(32, 64), skip=Choice(True, False)),
    ),
    norm=Choice(*NORMS, Norms(encoder=Choice(*NORMS), decoder=Choice(*NORMS))),
    baselines=(unet,),
).where(lambda candidate: cost(candidate).macs < 1e9)
