"""Layers that blocks, encoders and decoders are built from."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from nas.models.bilinear import bilinear
from nas.models.norms import MakeNorm
from nas.space.checks import check_one_of

__all__ = [
    "ACTIVATIONS",
    "UPSAMPLING",
    "Conv2d",
    "SqueezeExcite",
    "conv_norm",
    "conv_norm_act",
    "make_activation",
    "resize",
    "upsample",
]

# In place only where backward needs just the result; the others would copy their input first.
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.01, inplace=True),
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "hardswish": nn.Hardswish,
}

ACTIVATIONS = tuple(_ACTIVATIONS)

UPSAMPLING = ("bilinear", "transposed", "shuffle")


def make_activation(name: str) -> nn.Module:
    """Make an activation by its name in ACTIVATIONS. Raises UserError for any other name."""
    check_one_of("activation", name, ACTIVATIONS)
    return _ACTIVATIONS[name]()


class Conv2d(nn.Conv2d):
    """Convolution with "same" padding, initialized as in He et al. 2015 (fan out, counting groups)."""

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(cin, cout, kernel, stride, padding, dilation, groups, bias)

    def reset_parameters(self) -> None:
        fan_out = self.kernel_size[0] * self.kernel_size[1] * self.out_channels // self.groups
        nn.init.normal_(self.weight, std=math.sqrt(2 / fan_out))
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018): scale each channel by a gate computed from all channel means."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(8, channels // reduction)
        self.squeeze = Conv2d(channels, hidden, bias=True)
        self.excite = Conv2d(hidden, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        gate = F.relu(self.squeeze(x.mean((2, 3), keepdim=True)), inplace=True)
        return x * self.excite(gate).sigmoid()


def conv_norm(
    cin: int, cout: int, norm: MakeNorm, kernel: int = 1, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution and norm. The convolution has no bias, because the norm would remove it."""
    return nn.Sequential(Conv2d(cin, cout, kernel, stride, dilation, groups), norm(cout))


def conv_norm_act(
    cin: int,
    cout: int,
    norm: MakeNorm,
    kernel: int = 1,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    activation: str = "relu",
) -> nn.Sequential:
    """Convolution, norm and activation."""
    return conv_norm(cin, cout, norm, kernel, stride, dilation, groups).append(make_activation(activation))


def upsample(kind: str, cin: int, cout: int, factor: int) -> nn.Module:
    """Build an upsampling layer from N x cin x H x W to N x cout x fH x fW; with factor 1, a 1 x 1 convolution.

    `kind` is one of UPSAMPLING. "bilinear" convolves before it interpolates: both are linear, so the result is the
    same at 1 / f^2 of the cost. "shuffle" is the sub-pixel convolution of Shi et al. 2016.
    """
    check_one_of("up", kind, UPSAMPLING)
    if factor == 1:
        return Conv2d(cin, cout, bias=True)
    if kind == "transposed":
        return nn.ConvTranspose2d(cin, cout, factor, factor)
    if kind == "shuffle":
        return nn.Sequential(Conv2d(cin, cout * factor**2, bias=True), nn.PixelShuffle(factor))
    return nn.Sequential(Conv2d(cin, cout, bias=True), _Bilinear(factor))


def resize(x: Tensor, factor: int) -> Tensor:
    """Enlarge a map by `factor` with bilinear interpolation."""
    if factor == 1:
        return x
    return bilinear(x, (x.shape[2] * factor, x.shape[3] * factor))


class _Bilinear(nn.Module):
    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return resize(x, self.factor)

    def extra_repr(self) -> str:
        return f"factor={self.factor}"
