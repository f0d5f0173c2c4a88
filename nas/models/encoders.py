"""Encoder: an optional stem, then stages that each give one feature, from fine to coarse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from torch import Tensor, nn

from nas.errors import UserError
from nas.models.blocks import DOUBLE_CONV, Block
from nas.models.layers import conv_norm_act
from nas.models.norms import MakeNorm
from nas.space.checks import check_one_of, check_range
from nas.space.component import Component

__all__ = [
    "DOWNSAMPLING",
    "OUTPUT_STRIDES",
    "STEMS",
    "STEM_STRIDES",
    "AnyEncoder",
    "Encoder",
    "EncoderNet",
    "Stage",
    "StagedNet",
]

DOWNSAMPLING = ("max", "stride", "average")
STEMS = ("conv", "resnet")
STEM_STRIDES = (1, 2, 4)
OUTPUT_STRIDES = (8, 16, 32)

MAX_STEM_WIDTH = 64  # as in ResNet: the stem works on the largest maps


@dataclass(frozen=True)
class Stage(Component):
    """`depth` blocks of the same width.

    `down` applies in stages that halve their input: "max" and "average" pool before the first block, "stride" gives
    the first block a stride of 2.
    """

    block: Block = DOUBLE_CONV
    width: int = 64
    depth: int = 1
    down: str = "max"

    def build(self, cin: int, norm: MakeNorm, halve: bool = False, dilation: int = 1) -> nn.Module:
        """Build a module from N x cin x H x W to N x width x H x W, or to H/2 x W/2 with `halve`."""
        check_one_of("Stage.down", self.down, DOWNSAMPLING)
        check_range("Stage.width", self.width, 1)
        check_range("Stage.depth", self.depth, 1)
        rows: list[nn.Module] = []
        stride = 1
        if halve and self.down == "stride":
            stride = 2
        elif halve:
            rows.append(nn.MaxPool2d(2) if self.down == "max" else nn.AvgPool2d(2))
        rows.append(self.block.build(cin, self.width, norm, stride, dilation))
        rows += [self.block.build(self.width, self.width, norm, 1, dilation) for _ in range(self.depth - 1)]
        return nn.Sequential(*rows)


@dataclass(frozen=True)
class Encoder(Component):
    """Stages after a stem of stride 1 (no stem), 2 or 4. The stem is as wide as the first stage, at most 64.

    The first stage keeps the stem's resolution. Each later stage halves it until `output_stride` (8, 16 or 32) is
    reached; from there on, stages double the dilation instead (Chen et al. 2017). A "conv" stem has one strided 3 x 3
    convolution for each halving. A "resnet" stem has a strided 7 x 7 convolution and, for stride 4, a 3 x 3 max pooling
    (He et al. 2016).
    """

    stages: tuple[Stage, ...] = (Stage(width=16), Stage(width=32), Stage(width=64), Stage(width=128))
    stem_stride: int = 1
    output_stride: int = 32
    stem: str = "conv"

    def build(self, norm: MakeNorm) -> StagedNet:
        """Build the network. Raises UserError for a field with an unusable value."""
        check_one_of("Encoder.stem_stride", self.stem_stride, STEM_STRIDES)
        check_one_of("Encoder.output_stride", self.output_stride, OUTPUT_STRIDES)
        check_one_of("Encoder.stem", self.stem, STEMS)
        if not self.stages:
            raise UserError("Encoder.stages is empty: give it at least one Stage")
        stages: list[nn.Module] = []
        stem_width = min(MAX_STEM_WIDTH, self.stages[0].width)
        cin = 3 if self.stem_stride == 1 else stem_width
        reductions, dilations = self._strides()
        halved = [False, *(fine < coarse for fine, coarse in pairwise(reductions))]
        for stage, halve, dilation in zip(self.stages, halved, dilations, strict=True):
            stages.append(stage.build(cin, norm, halve, dilation))
            cin = stage.width
        return StagedNet(
            stem=_stem(self.stem, self.stem_stride, stem_width, norm),
            stages=stages,
            channels=[s.width for s in self.stages],
            reductions=reductions,
            depths=[s.depth * s.block.layers for s in self.stages],
        )

    def canonical(self) -> Encoder:
        """Reset `down` of stages that do not halve, an `output_stride` that is not reached, and `stem` at stride 1."""
        if not self.stages:
            return self
        reductions, dilations = self._strides()
        finer = [reductions[0], *reductions][: len(reductions)]
        stages = tuple(
            stage if fine < coarse else replace(stage, down=Stage.down)
            for stage, fine, coarse in zip(self.stages, finer, reductions, strict=True)
        )
        reached = any(d > 1 for d in dilations)
        stem = Encoder.stem if self.stem_stride == 1 else self.stem
        return replace(self, stages=stages, output_stride=self.output_stride if reached else 32, stem=stem)

    def _strides(self) -> tuple[list[int], list[int]]:
        """The total stride and the dilation of every stage."""
        reductions, dilations = [self.stem_stride], [1]
        for _ in self.stages[1:]:
            halve = reductions[-1] < self.output_stride
            reductions.append(reductions[-1] * (2 if halve else 1))
            dilations.append(dilations[-1] * (1 if halve else 2))
        return reductions, dilations


class AnyEncoder(Protocol):
    """What a recipe's encoder can do."""

    def build(self, norm: MakeNorm) -> EncoderNet:
        """Build the network; `norm(channels)` makes a normalization layer of the recipe's kind."""


class EncoderNet(nn.Module):
    """An encoder's network: images in, features out, from fine to coarse.

    Attributes:
        channels, reductions: of each feature; a reduction is the total stride.
        depths: spatial convolutions of each stage, for decoders that mirror it.
        mean, std: of the images that its weights were learnt on, by RGB channel; None for `nas.models.MEAN` and `STD`.
        rate: its learning rate as a share of the optimizer's.
        pretrained: whether `load_weights` loads any.
    """

    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    rate: float = 1.0
    pretrained: bool = False

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        self.channels = list(channels)
        self.reductions = list(reductions)
        self.depths = list(depths)

    def load_weights(self) -> None:
        """Start from pretrained weights where the recipe names some. Raises UserError for a file that cannot be used.

        A training calls this; building a network reads no file.
        """


class StagedNet(EncoderNet):
    """The network of an `Encoder`: a stem, then stages."""

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[nn.Module],
        channels: Sequence[int],
        reductions: Sequence[int],
        depths: Sequence[int],
    ) -> None:
        super().__init__(channels, reductions, depths)
        self.stem = stem
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images N x 3 x H x W to features N x channels[i] x H/reductions[i] x W/reductions[i].

        H and W must be multiples of the largest reduction.
        """
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def _stem(kind: str, stride: int, width: int, norm: MakeNorm) -> nn.Module:
    if stride == 1:
        return nn.Identity()
    if kind == "resnet":
        wide = conv_norm_act(3, width, norm, kernel=7, stride=2)
        return wide if stride == 2 else wide.append(nn.MaxPool2d(3, 2, padding=1))
    if stride == 2:
        return conv_norm_act(3, width, norm, kernel=3, stride=2)
    half = max(1, width // 2)
    return nn.Sequential(
        conv_norm_act(3, half, norm, kernel=3, stride=2),
        conv_norm_act(half, width, norm, kernel=3, stride=2),
    )
