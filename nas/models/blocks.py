"""Blocks for encoder stages and decoders: plain, residual, bottleneck, inverted, separable."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn

from nas.errors import UserError
from nas.models.layers import SqueezeExcite, conv_norm, conv_norm_act, make_activation
from nas.models.norms import MakeNorm
from nas.space.checks import check_range
from nas.space.component import Component

__all__ = ["DOUBLE_CONV", "Block", "Bottleneck", "Inverted", "Plain", "Residual", "Separable"]


@dataclass(frozen=True, kw_only=True)
class Block(Component):
    """Base class of blocks: an odd kernel size, a dilation, an activation, and optional squeeze-excite.

    To add a block, derive a frozen dataclass and implement `build`. See docs/writing-parts.md for an example.
    """

    kernel: int = 3
    dilation: int = 1
    activation: str = "relu"
    squeeze_excite: bool = False

    @property
    def layers(self) -> int:
        """Number of spatial convolutions in a block. Decoders that mirror the encoder repeat it."""
        return 1

    def build(self, cin: int, cout: int, norm: MakeNorm, stride: int = 1, dilation: int = 1) -> nn.Module:
        """Build a module from N x cin x H x W to N x cout x ceil(H / stride) x ceil(W / stride).

        Args:
            cin: input channels.
            cout: output channels.
            norm: `norm(channels)` makes a normalization layer.
            stride: 1, or 2 in the first block of a stage that downsamples by "stride".
            dilation: multiplies the block's own; larger than 1 where it replaces a stride.

        Raises:
            UserError: a field has an unusable value.
        """
        raise NotImplementedError

    def canonical(self) -> Block:
        return replace(self, dilation=1) if self.kernel == 1 else self

    def _check(self) -> None:
        name = type(self).__name__
        check_range(f"{name}.kernel", self.kernel, 1)
        check_range(f"{name}.dilation", self.dilation, 1)
        if self.kernel % 2 == 0:
            raise UserError(f"{name}.kernel is {self.kernel}: use an odd number, to keep feature maps centred")

    def _excited(self, channels: int) -> list[nn.Module]:
        return [SqueezeExcite(channels)] if self.squeeze_excite else []


@dataclass(frozen=True, kw_only=True)
class Plain(Block):
    """`convs` convolutions, each with norm and activation: two as in U-Net, three as in VGG's deep stages."""

    convs: int = 2

    @property
    def layers(self) -> int:
        return self.convs

    def build(self, cin: int, cout: int, norm: MakeNorm, stride: int = 1, dilation: int = 1) -> nn.Module:
        self._check()
        check_range("Plain.convs", self.convs, 1)
        k, d, act = self.kernel, self.dilation * dilation, self.activation
        rows = [conv_norm_act(cin, cout, norm, k, stride, d, activation=act)]
        rows += [conv_norm_act(cout, cout, norm, k, 1, d, activation=act) for _ in range(self.convs - 1)]
        return nn.Sequential(*rows, *self._excited(cout))


DOUBLE_CONV = Plain()


@dataclass(frozen=True, kw_only=True)
class Separable(Block):
    """`convs` pairs of a depthwise and a pointwise convolution (Howard et al. 2017)."""

    convs: int = 2

    @property
    def layers(self) -> int:
        return self.convs

    def build(self, cin: int, cout: int, norm: MakeNorm, stride: int = 1, dilation: int = 1) -> nn.Module:
        self._check()
        check_range("Separable.convs", self.convs, 1)
        k, d, act = self.kernel, self.dilation * dilation, self.activation
        rows: list[nn.Module] = []
        for i in range(self.convs):
            width, step = (cin, stride) if i == 0 else (cout, 1)
            rows.append(conv_norm_act(width, width, norm, k, step, d, groups=width, activation=act))
            rows.append(conv_norm_act(width, cout, norm, activation=act))
        return nn.Sequential(*rows, *self._excited(cout))


@dataclass(frozen=True, kw_only=True)
class Residual(Block):
    """Basic block of ResNet-18 and ResNet-34 (He et al. 2016): two convolutions and a shortcut."""

    @property
    def layers(self) -> int:
        return 2

    def build(self, cin: int, cout: int, norm: MakeNorm, stride: int = 1, dilation: int = 1) -> nn.Module:
        self._check()
        k, d, act = self.kernel, self.dilation * dilation, self.activation
        body: list[nn.Module] = [
            conv_norm_act(cin, cout, norm, k, stride, d, activation=act),
            conv_norm(cout, cout, norm, k, 1, d),
        ]
        return _residual(body, self._excited(cout), _shortcut(cin, cout, stride, norm), act)


@dataclass(frozen=True, kw_only=True)
class Bottleneck(Block):
    """Bottleneck block of ResNet-50 (He et al. 2016): reduce by `ratio`, convolve with the stride, expand."""

    ratio: int = 4

    def build(self, cin: int, cout: int, norm: MakeNorm, stride: int = 1, dilation: int = 1) -> nn.Module:
        self._check()
        check_range("Bottleneck.ratio", self.ratio, 1)
        k, d, act = self.kernel, self.dilation * dilation, self.activation
        narrow = max(1, cout // self.ratio)
        body: list[nn.Module] = [
            conv_norm_act(cin, narrow, norm, activation=act),
            conv_norm_act(narrow, narrow, norm, k, stride, d, activation=act),
            conv_norm(narrow, cout, norm),
        ]
        return _residual(body, self._excited(cout), _shortcut(cin, cout, stride, norm), act)


@dataclass(frozen=True, kw_only=True)
class Inverted(Block):
    """Inverted residual of MobileNetV2 and V3 (Sandler et al. 2018): expand by `expand`, depthwise, project.

    The output is linear. There is a shortcut only if input and output have the same shape.
    """

    expand: int = 4

    def build(self, cin: int, cout: int, norm: MakeNorm, stride: int = 1, dilation: int = 1) -> nn.Module:
        self._check()
        check_range("Inverted.expand", self.expand, 1)
        k, d, act = self.kernel, self.dilation * dilation, self.activation
        wide = cin * self.expand
        rows: list[nn.Module] = [conv_norm_act(cin, wide, norm, activation=act)] if wide > cin else []
        rows += [conv_norm_act(wide, wide, norm, k, stride, d, groups=wide, activation=act)]
        rows += [*self._excited(wide), conv_norm(wide, cout, norm)]
        if stride == 1 and cin == cout:
            return _residual(rows, [], nn.Identity(), None)
        return nn.Sequential(*rows)


class _Residual(nn.Module):
    """activation(body(x) + shortcut(x))."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.body(x) + self.shortcut(x))


def _residual(body: list[nn.Module], gate: list[nn.Module], shortcut: nn.Module, activation: str | None) -> nn.Module:
    """Build a residual block. With an identity shortcut it starts as the identity (Goyal et al. 2017, section 5.1)."""
    last_norm = list(body[-1].children())[-1]
    if isinstance(shortcut, nn.Identity) and isinstance(last_norm.weight, nn.Parameter):
        nn.init.zeros_(last_norm.weight)
    after = nn.Identity() if activation is None else make_activation(activation)
    return _Residual(nn.Sequential(*body, *gate), shortcut, after)


def _shortcut(cin: int, cout: int, stride: int, norm: MakeNorm) -> nn.Module:
    return nn.Identity() if stride == 1 and cin == cout else conv_norm(cin, cout, norm, stride=stride)
