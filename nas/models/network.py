"""Segmentation network: normalize, pad, encode, decode, classify, crop; at one scale of the image, or at several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.models.bilinear import bilinear
from nas.models.decoders import Decoder, DecoderNet
from nas.models.encoders import AnyEncoder, EncoderNet
from nas.models.layers import resize
from nas.models.norms import Norms, norm_makers
from nas.space.checks import check_range
from nas.space.component import SpaceError
from nas.space.domains import is_number

__all__ = ["MEAN", "STD", "Architecture", "Network", "build_network", "fused"]

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

FULL_SCALE = (1.0,)
MIN_SCALE, MAX_SCALE = 0.1, 2.0


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

    With several scales, it computes logits of the image at each of them, resizes them to H x W, and takes the maximum
    of each class at each position (multi-scale inputs of DeepLabv2, Chen et al. 2018, section 3.2).

    `heads` holds the heads of the pretext tasks, which read `features`. The trainer fills it; the forward pass and
    exports do not use it.

    Args:
        encoder: from normalized images to features.
        decoder: from features to one feature map.
        classifier: from the feature map to logits.
        classes: number of classes.
        mean: mean of each colour channel, 3 numbers.
        std: standard deviation of each colour channel, 3 numbers.
        scales: sizes at which the network sees the image, as shares of H and W; one of them is 1.

    Attributes:
        multiple: H and W that are multiples of it need no padding, at any scale.
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
        scales: Sequence[float | Fraction] = FULL_SCALE,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.classifier = classifier
        self.heads = nn.ModuleDict()
        self.classes = classes
        self.scales = tuple(Fraction(scale).limit_denominator(1000) for scale in scales)
        self.stride = math.lcm(*encoder.reductions)
        self.multiple = self.stride * math.lcm(*(scale.denominator for scale in self.scales))
        self.register_buffer("mean", torch.as_tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.as_tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return fused(self.scores(images))

    def scores(self, images: Tensor) -> list[Tensor]:
        """Compute logits of the images at each scale, each resized to N x classes x H x W."""
        return [self._scores(images, scale) for scale in self.scales]

    def _scores(self, images: Tensor, scale: Fraction) -> Tensor:
        size = images.shape[2], images.shape[3]
        if scale == 1:
            return self.decode(self.features(images), size)
        # Rounded up, so that no side is empty, and in integers, which exporters can follow.
        height, width = (-(-side * scale.numerator // scale.denominator) for side in size)
        features = self.features(bilinear(images, (height, width)))
        return bilinear(self.decode(features, (height, width)), size)

    def features(self, images: Tensor) -> list[Tensor]:
        """Compute the encoder's features of images at their own scale, fine to coarse.

        Images are normalized, then padded with zeros at the right and the bottom to a multiple of the largest
        reduction.
        """
        x = (images - self.mean) / self.std
        below, right = -x.shape[2] % self.stride, -x.shape[3] % self.stride
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        return self.encoder(x)

    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Compute logits N x classes x H x W from features, cropped to `size`, the (H, W) of the images."""
        logits = resize(self.classifier(self.decoder(features)), self.decoder.reduction)
        return logits[:, :, : size[0], : size[1]]


def fused(scores: Sequence[Tensor]) -> Tensor:
    """Return the maximum of logits of several scales."""
    return reduce(torch.maximum, scores)


def build_network(
    candidate: Architecture, classes: int, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> Network:
    """Build the network of a candidate: any object with a closed `encoder`, `decoder` and `norm`, perhaps `scales`.

    Under `torch.device("meta")` it takes no memory.

    Args:
        mean, std: mean and standard deviation to normalize images with; None for those of the encoder's weights, or for
            MEAN and STD.

    Raises:
        UserError: a field has an unusable value.
    """
    check_range("classes", classes, 1)
    scales = getattr(candidate, "scales", FULL_SCALE)
    _check_scales(scales)
    encoder_norm, decoder_norm = norm_makers(candidate.norm)
    encoder = candidate.encoder.build(encoder_norm)
    decoder = candidate.decoder.build(encoder.channels, encoder.reductions, decoder_norm, encoder.depths)
    mean, std = mean or encoder.mean or MEAN, std or encoder.std or STD
    return Network(encoder, decoder, decoder.classifier(classes), classes, mean, std, scales)


def _check_scales(scales: Sequence[float]) -> None:
    usable = isinstance(scales, tuple | list) and all(
        is_number(scale) and MIN_SCALE <= scale <= MAX_SCALE for scale in scales
    )
    if not usable or 1 not in scales or len(set(scales)) < len(scales):
        wanted = f"a tuple of different numbers from {MIN_SCALE:g} to {MAX_SCALE:g}, one of them 1"
        raise SpaceError(f"scales is {scales!r}: give {wanted}")
