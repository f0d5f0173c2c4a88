"""Networks: norms, blocks, encoders, decoders, and the candidate's network built from them."""

from nas.models.blocks import Block, Bottleneck, Inverted, Plain, Residual, Separable
from nas.models.classics import Classic, deeplabv2_resnet101, deeplabv3plus, linknet_resnet18, segnet_vgg16, unet
from nas.models.decoders import ASPP, FPN, Decoder, DecoderNet, DeepLabv2, LinkNet, SegNet, UNet
from nas.models.encoders import (
    DOWNSAMPLING,
    OUTPUT_STRIDES,
    STEM_STRIDES,
    STEMS,
    AnyEncoder,
    Encoder,
    EncoderNet,
    Stage,
    StagedNet,
)
from nas.models.layers import ACTIVATIONS, UPSAMPLING, Conv2d, conv_norm_act, make_activation
from nas.models.network import MEAN, STD, Architecture, Network, build_network, fused
from nas.models.norms import (
    NORMS,
    BatchNorm2d,
    GroupNorm2d,
    MakeNorm,
    Norms,
    SwitchNorm2d,
    make_norm,
    running_statistics_frozen,
)
from nas.models.pretrained import PretrainedNet
from nas.models.resnet_weights import Pretrained
from nas.models.timm_encoder import Timm

__all__ = [
    "ACTIVATIONS",
    "ASPP",
    "DOWNSAMPLING",
    "FPN",
    "MEAN",
    "NORMS",
    "OUTPUT_STRIDES",
    "STD",
    "STEMS",
    "STEM_STRIDES",
    "UPSAMPLING",
    "AnyEncoder",
    "Architecture",
    "BatchNorm2d",
    "Block",
    "Bottleneck",
    "Classic",
    "Conv2d",
    "Decoder",
    "DecoderNet",
    "DeepLabv2",
    "Encoder",
    "EncoderNet",
    "GroupNorm2d",
    "Inverted",
    "LinkNet",
    "MakeNorm",
    "Network",
    "Norms",
    "Plain",
    "Pretrained",
    "PretrainedNet",
    "Residual",
    "SegNet",
    "Separable",
    "Stage",
    "StagedNet",
    "SwitchNorm2d",
    "Timm",
    "UNet",
    "build_network",
    "conv_norm_act",
    "deeplabv2_resnet101",
    "deeplabv3plus",
    "fused",
    "linknet_resnet18",
    "make_activation",
    "make_norm",
    "running_statistics_frozen",
    "segnet_vgg16",
    "unet",
]
