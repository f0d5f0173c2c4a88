"""Segmentation network: normalize, pad, encode, decode, classify, crop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.models.decoders import Decoder, DecoderNet
from nas.models.encoders import AnyEncoder, EncoderNet
from nas.models.layers import resize
from nas.models.norms import Norms, norm_makers
from nas.space.checks import check_range

__all__ = ["MEAN", "STD", "Architecture", "Network", "build_network"]

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Architecture(Protocol):
    """The fields of a candidate that define its network."""

    @property
    def encoder(self) -> AnyEncoder: ...
    @property
    def decoder(self) -> Decoder: ...
    @property
    def norm(self) -> str | Norms: ...


class Network(nn.Module):
    """Segmentation network from RGB images in [0, 1], N x 3 x H x W of any size, to logits N x classes x H x W.

    `heads` holds the heads of the pretext tasks, which read `features`. The trainer fills it; the forward pass and
    exports do not use it.

    Args:
        encoder: from normalized images to features.
        decoder: from features to one feature map.
        classifier: from the feature map to logits.
        classes: number of classes.
        mean: mean of each colour channel, 3 numbers.
        std: standard deviation of each colour channel, 3 numbers.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: EncoderNet,
        decoder: DecoderNet,
        classifier: nn.Module,
        classes: int,
        mean: Sequence[float] | Tensor = MEAN,
        std: Sequence[float] | Tensor = STD,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.classifier = classifier
        self.heads = nn.ModuleDict()
        self.classes = classes
        self.multiple = math.lcm(*encoder.reductions)
        self.register_buffer("mean", torch.as_tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.as_tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.features(images), (images.shape[2], images.shape[3]))

    def features(self, images: Tensor) -> list[Tensor]:
        """Compute the encoder's features, fine to coarse.

        Images are normalized, then padded with zeros at the right and the bottom to a multiple of the largest
        reduction.
        """
        x = (images - self.mean) / self.std
        below, right = -x.shape[2] % self.multiple, -x.shape[3] % self.multiple
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        return self.encoder(x)

    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Compute logits N x classes x H x W from features, cropped to `size`, the (H, W) of the images."""
        logits = resize(self.classifier(self.decoder(features)), self.decoder.reduction)
        return logits[:, :, : size[0], : size[1]]


def build_network(
    candidate: Architecture, classes: int, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> Network:
    """Build the network of a candidate: any object with a closed `encoder`, `decoder` and `norm`.

    Under `torch.device("meta")` it takes no memory.

    Args:
        mean, std: mean and standard deviation to normalize images with; None for those of the encoder's weights, or for
            MEAN and STD.

    Raises:
        UserError: a field has an unusable value.
    """
    check_range("classes", classes, 1)
    encoder_norm, decoder_norm = norm_makers(candidate.norm)
    encoder = candidate.encoder.build(encoder_norm)
    decoder = candidate.decoder.build(encoder.channels, encoder.reductions, decoder_norm, encoder.depths)
    mean, std = mean or encoder.mean or MEAN, std or encoder.std or STD
    return Network(encoder, decoder, decoder.classifier(classes), classes, mean, std)
