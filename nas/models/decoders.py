"""Decoders: networks from an encoder's features, fine to coarse, to one feature map for the classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.errors import UserError
from nas.models.blocks import DOUBLE_CONV, Block
from nas.models.layers import Conv2d, conv_norm_act, make_activation, resize, upsample
from nas.models.norms import MakeNorm
from nas.space.checks import check_range
from nas.space.component import Component

__all__ = ["ASPP", "FPN", "Decoder", "DecoderNet", "DeepLabv2", "LinkNet", "SegNet", "UNet"]


class DecoderNet(nn.Module):
    """Base class of decoder networks, from features to N x out_channels x H/reduction x W/reduction.

    To add a decoder, derive from this class, implement `forward`, and return it from `build` of a frozen dataclass.
    """

    def __init__(self, out_channels: int, reduction: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.reduction = reduction

    def classifier(self, classes: int) -> nn.Module:
        """Build the layer from the feature map to logits N x classes x H/reduction x W/reduction."""
        return nn.Conv2d(self.out_channels, classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        raise NotImplementedError


class Decoder(Protocol):
    """Interface of a recipe's decoder. See docs/writing-parts.md for an example."""

    def build(
        self, channels: Sequence[int], reductions: Sequence[int], norm: MakeNorm, depths: Sequence[int]
    ) -> DecoderNet:
        """Build the network. Its inputs are the features, fine to coarse.

        Feature i is N x channels[i] x H/reductions[i] x W/reductions[i].

        Args:
            channels: channels of each feature.
            reductions: total stride of each feature.
            norm: `norm(channels)` makes a normalization layer.
            depths: number of spatial convolutions in each stage of the encoder, for decoders that mirror it.

        Raises:
            UserError: a field has an unusable value.
        """


@dataclass(frozen=True)
class UNet(Component):
    """U-Net (Ronneberger et al. 2015): each level upsamples to the skip's width, concatenates and applies `block`."""

    up: str = "bilinear"
    block: Block = DOUBLE_CONV

    def build(
        self, channels: Sequence[int], reductions: Sequence[int], norm: MakeNorm, depths: Sequence[int]
    ) -> DecoderNet:
        """Build the network. Raises UserError for an `up` that is not in UPSAMPLING."""
        ups, blocks = [], []
        for i in reversed(range(len(channels) - 1)):
            skip = channels[i]
            ups.append(upsample(self.up, channels[i + 1], skip, reductions[i + 1] // reductions[i]))
            blocks.append(self.block.build(2 * skip, skip, norm))
        return _UNetNet(ups, blocks, channels[0], reductions[0])


class _UNetNet(DecoderNet):
    def __init__(
        self, ups: Sequence[nn.Module], blocks: Sequence[nn.Module], out_channels: int, reduction: int
    ) -> None:
        super().__init__(out_channels, reduction)
        self.ups = nn.ModuleList(ups)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = features[-1]
        for skip, up, block in zip(reversed(features[:-1]), self.ups, self.blocks, strict=True):
            x = block(torch.cat((skip, up(x)), 1))
        return x


@dataclass(frozen=True)
class LinkNet(Component):
    """LinkNet (Chaurasia & Culurciello 2017): each level is an upsampling bottleneck, added to the skip."""

    up: str = "transposed"

    def build(
        self, channels: Sequence[int], reductions: Sequence[int], norm: MakeNorm, depths: Sequence[int]
    ) -> DecoderNet:
        """Build the network. Raises UserError for an `up` that is not in UPSAMPLING."""
        levels = [
            self._level(channels[i + 1], channels[i], reductions[i + 1] // reductions[i], norm)
            for i in reversed(range(len(channels) - 1))
        ]
        last = conv_norm_act(channels[0], channels[0], norm, kernel=3)
        return _LinkNetNet(levels, last, channels[0], reductions[0])

    def _level(self, cin: int, cout: int, factor: int, norm: MakeNorm) -> nn.Module:
        narrow = max(1, cin // 4)
        return nn.Sequential(
            conv_norm_act(cin, narrow, norm),
            upsample(self.up, narrow, narrow, factor),
            norm(narrow),
            make_activation("relu"),
            conv_norm_act(narrow, cout, norm),
        )


class _LinkNetNet(DecoderNet):
    def __init__(self, levels: Sequence[nn.Module], last: nn.Module, out_channels: int, reduction: int) -> None:
        super().__init__(out_channels, reduction)
        self.levels = nn.ModuleList(levels)
        self.last = last

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = features[-1]
        for skip, level in zip(reversed(features[:-1]), self.levels, strict=True):
            x = level(x) + skip
        return self.last(x)


@dataclass(frozen=True)
class SegNet(Component):
    """SegNet (Badrinarayanan et al. 2017): unpool to the positions of the encoder's maxima, mirror its convolutions.

    The decoder finds the positions by max pooling each feature itself. They equal those of an encoder that pools, and
    exist for one that does not. The coarsest feature is pooled and unpooled once more, which mirrors the fifth pooling
    of VGG-16. The classifier mirrors the encoder's first convolution, so the finest stage has one convolution less.
    """

    def build(
        self, channels: Sequence[int], reductions: Sequence[int], norm: MakeNorm, depths: Sequence[int]
    ) -> DecoderNet:
        """Build the network. Stage i repeats the `depths[i]` convolutions of the encoder's stage i."""
        last = len(channels) - 1
        factors, stages = [], []
        for i in reversed(range(last + 1)):
            factors.append(2 if i == last else reductions[i + 1] // reductions[i])
            convs = depths[i] if i > 0 else max(1, depths[0] - 1)
            widths = [channels[i]] * convs + [channels[max(i - 1, 0)]]
            rows = [conv_norm_act(a, b, norm, kernel=3) for a, b in pairwise(widths)]
            stages.append(nn.Sequential(*rows))
        return _SegNetNet(stages, factors, channels[0], reductions[0])


class _SegNetNet(DecoderNet):
    def __init__(self, stages: Sequence[nn.Module], factors: Sequence[int], out_channels: int, reduction: int) -> None:
        super().__init__(out_channels, reduction)
        self.stages = nn.ModuleList(stages)
        self.factors = list(factors)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x: Tensor | None = None
        for feature, stage, factor in zip(reversed(features), self.stages, self.factors, strict=True):
            if x is None:
                x = _unpool(*_pool(feature, factor), feature)
            elif factor > 1:
                x = _unpool(x, _pool(feature.detach(), factor)[1], feature)
            x = stage(x)
        assert x is not None
        return x


def _pool(x: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    # ceil_mode: the coarsest feature may have an odd side.
    return F.max_pool2d(x, factor, factor, ceil_mode=True, return_indices=True)


def _unpool(x: Tensor, indices: Tensor, like: Tensor) -> Tensor:
    """F.max_unpool2d by scatter, which is deterministic on a GPU and exists in half precision and in ONNX."""
    n, c, h, w = like.shape
    empty = x.new_zeros(n, c, h * w)
    return empty.scatter(2, indices.flatten(2), x.flatten(2)).view(n, c, h, w)


@dataclass(frozen=True)
class FPN(Component):
    """Feature pyramid (Lin et al. 2017) with the summed levels of Kirillov et al. 2019 for segmentation."""

    width: int = 64

    def build(
        self, channels: Sequence[int], reductions: Sequence[int], norm: MakeNorm, depths: Sequence[int]
    ) -> DecoderNet:
        """Build the network. Raises UserError for a width under 1."""
        check_range("FPN.width", self.width, 1)
        return _FPNNet(channels, reductions, norm, self.width)


class _FPNNet(DecoderNet):
    def __init__(self, channels: Sequence[int], reductions: Sequence[int], norm: MakeNorm, width: int) -> None:
        super().__init__(width, reductions[0])
        self.reductions = list(reductions)
        self.lateral = nn.ModuleList(Conv2d(c, width, bias=True) for c in channels)
        self.smooth = nn.ModuleList(conv_norm_act(width, width, norm, kernel=3) for _ in channels)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        coarsest = len(features) - 1
        x = self.lateral[coarsest](features[coarsest])
        total = self._to_finest(coarsest, x)
        for i in reversed(range(coarsest)):
            factor = self.reductions[i + 1] // self.reductions[i]
            x = self.lateral[i](features[i]) + resize(x, factor)
            total = total + self._to_finest(i, x)
        return total

    def _to_finest(self, i: int, x: Tensor) -> Tensor:
        return resize(self.smooth[i](x), self.reductions[i] // self.reductions[0])


@dataclass(frozen=True)
class ASPP(Component):
    """Atrous spatial pyramid pooling: DeepLabv3 (Chen et al. 2017), or v3+ (2018) with `skip`.

    v3+ concatenates the coarsest feature of stride at most 4, reduced to 48 channels. `rates` are dilations on the
    coarsest feature: (6, 12, 18) suit output stride 16; double them for output stride 8.
    """

    rates: tuple[int, ...] = (6, 12, 18)
    width: int = 128
    skip: bool = True

    def build(
        self, channels: Sequence[int], reductions: Sequence[int], norm: MakeNorm, depths: Sequence[int]
    ) -> DecoderNet:
        """Build the network. Raises UserError for a width or a rate under 1."""
        check_range("ASPP.width", self.width, 1)
        _check_rates("ASPP", self.rates)
        pyramid = _Pyramid(channels[-1], self.width, self.rates, norm)
        fine = max((i for i, r in enumerate(reductions[:-1]) if r <= 4), default=None) if self.skip else None
        if fine is None:
            return _PyramidNet(pyramid, self.width, reductions[-1])
        return _PyramidSkipNet(pyramid, fine, channels[fine], reductions, self.width, norm)


class _Pyramid(nn.Module):
    """A 1 x 1 convolution, dilated 3 x 3 convolutions and global pooling in parallel, projected to `width`."""

    def __init__(self, cin: int, width: int, rates: Sequence[int], norm: MakeNorm) -> None:
        super().__init__()
        self.branches = nn.ModuleList([conv_norm_act(cin, width, norm)])
        self.branches.extend(conv_norm_act(cin, width, norm, kernel=3, dilation=r) for r in rates)
        self.image = conv_norm_act(cin, width, norm)
        self.project = conv_norm_act(width * (len(rates) + 2), width, norm)

    def forward(self, x: Tensor) -> Tensor:
        image = self.image(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        return self.project(torch.cat([*(branch(x) for branch in self.branches), image], 1))


class _PyramidNet(DecoderNet):
    def __init__(self, pyramid: _Pyramid, width: int, reduction: int) -> None:
        super().__init__(width, reduction)
        self.pyramid = pyramid

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.pyramid(features[-1])


class _PyramidSkipNet(DecoderNet):
    def __init__(
        self,
        pyramid: _Pyramid,
        fine: int,
        fine_channels: int,
        reductions: Sequence[int],
        width: int,
        norm: MakeNorm,
    ) -> None:
        super().__init__(width, reductions[fine])
        self.fine = fine
        self.factor = reductions[-1] // reductions[fine]
        narrow = min(48, fine_channels)
        self.pyramid = pyramid
        self.narrow = conv_norm_act(fine_channels, narrow, norm)
        self.join = DOUBLE_CONV.build(width + narrow, width, norm)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = resize(self.pyramid(features[-1]), self.factor)
        return self.join(torch.cat((self.narrow(features[self.fine]), x), 1))


@dataclass(frozen=True)
class DeepLabv2(Component):
    """DeepLabv2 (Chen et al. 2018): the classifier sums dilated convolutions of the coarsest feature.

    `rates` are the dilations; ASPP-L has 6, 12, 18, 24. There are no other layers and no norms.
    """

    has_norm: ClassVar[bool] = False

    rates: tuple[int, ...] = (6, 12, 18, 24)

    def build(
        self, channels: Sequence[int], reductions: Sequence[int], norm: MakeNorm, depths: Sequence[int]
    ) -> DecoderNet:
        """Build the network. Raises UserError for a rate under 1."""
        _check_rates("DeepLabv2", self.rates)
        return _DeepLabv2Net(channels[-1], reductions[-1], self.rates)


class _DeepLabv2Net(DecoderNet):
    def __init__(self, out_channels: int, reduction: int, rates: Sequence[int]) -> None:
        super().__init__(out_channels, reduction)
        self.rates = tuple(rates)

    def classifier(self, classes: int) -> nn.Module:
        return _SummedPyramid(self.out_channels, classes, self.rates)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return features[-1]


class _SummedPyramid(nn.Module):
    """Sum of dilated 3 x 3 convolutions with bias, initialized as in DeepLab with a standard deviation of 0.01."""

    def __init__(self, cin: int, classes: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(Conv2d(cin, classes, 3, dilation=rate, bias=True) for rate in rates)
        for branch in self.branches:
            nn.init.normal_(cast(Tensor, branch.weight), std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.branches
        total: Tensor = first(x)
        for branch in others:
            total = total + branch(x)
        return total


def _check_rates(name: str, rates: Sequence[int]) -> None:
    if not rates or min(rates) < 1:
        raise UserError(f"{name}.rates is {rates!r}: give at least one dilation, each 1 or more")
