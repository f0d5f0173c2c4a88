"""Well-known networks as parts of recipes, to use as baselines and to copy from."""

from __future__ import annotations

from typing import NamedTuple

from nas.models.blocks import Bottleneck, Plain, Residual
from nas.models.decoders import ASPP, Decoder, DeepLabv2, LinkNet, SegNet, UNet
from nas.models.encoders import Encoder, Stage
from nas.models.norms import Norms

__all__ = ["Classic", "deeplabv2_resnet101", "deeplabv3plus", "linknet_resnet18", "segnet_vgg16", "unet"]


class Classic(NamedTuple):
    """The parts of a recipe that define its network: `Recipe(**unet()._asdict(), ...)`."""

    encoder: Encoder
    decoder: Decoder
    norm: str | Norms


def unet(width: int = 64, levels: int = 5, up: str = "transposed", norm: str | Norms = "batch") -> Classic:
    """U-Net (Ronneberger et al. 2015) with same padding and norms: 31.04 M parameters at widths 64 to 1024."""
    stages = tuple(Stage(Plain(convs=2), width * 2**i) for i in range(levels))
    return Classic(Encoder(stages), UNet(up=up), norm)


def segnet_vgg16(norm: str | Norms = "batch") -> Classic:
    """SegNet (Badrinarayanan et al. 2017) on the thirteen convolutions of VGG-16: 29.4 M parameters."""
    plan = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    stages = tuple(Stage(Plain(convs=convs), width) for width, convs in plan)
    return Classic(Encoder(stages), SegNet(), norm)


def linknet_resnet18(norm: str | Norms = "batch") -> Classic:
    """LinkNet (Chaurasia & Culurciello 2017) on ResNet-18, with a stem of two 3 x 3 convolutions."""
    stages = tuple(Stage(Residual(), width, depth=2, down="stride") for width in (64, 128, 256, 512))
    return Classic(Encoder(stages, stem_stride=4), LinkNet(), norm)


def deeplabv2_resnet101(norm: str | Norms = "batch") -> Classic:
    """DeepLabv2 (Chen et al. 2018) on ResNet-101 at output stride 8: 43.9 M parameters for 19 classes."""
    plan = ((256, 3), (512, 4), (1024, 23), (2048, 3))
    stages = tuple(Stage(Bottleneck(), width, depth, down="stride") for width, depth in plan)
    return Classic(Encoder(stages, stem_stride=4, output_stride=8, stem="resnet"), DeepLabv2(), norm)


def deeplabv3plus(output_stride: int = 16, norm: str | Norms = "batch") -> Classic:
    """DeepLabv3+ (Chen et al. 2018) on ResNet-50, with a stem of two 3 x 3 convolutions."""
    plan = ((256, 3), (512, 4), (1024, 6), (2048, 3))
    stages = tuple(Stage(Bottleneck(), width, depth, down="stride") for width, depth in plan)
    rates = (12, 24, 36) if output_stride == 8 else (6, 12, 18)
    encoder = Encoder(stages, stem_stride=4, output_stride=output_stride)
    return Classic(encoder, ASPP(rates=rates, width=256), norm)
