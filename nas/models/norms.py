"""Normalization layers by name. All accept 1 x 1 maps and keep their statistics in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nas.space.checks import check_one_of
from nas.space.component import Component

__all__ = [
    "NORMS",
    "BatchNorm2d",
    "GroupNorm2d",
    "MakeNorm",
    "Norms",
    "SwitchNorm2d",
    "make_norm",
    "norm_makers",
    "running_statistics_frozen",
]

NORMS = ("batch", "instance", "layer", "group", "switch")

MakeNorm = Callable[[int], nn.Module]
"""norm(channels) makes a normalization layer for N x channels x H x W tensors, of the kind that the recipe chose."""

MAX_GROUPS = 8
"""Groups of a group norm. With a single channel per group, it would be an instance norm."""


@dataclass(frozen=True)
class Norms(Component):
    """Separate normalizations for encoder and decoder, each a name in NORMS."""

    encoder: str = "batch"
    decoder: str = "batch"


def make_norm(kind: str, channels: int) -> nn.Module:
    """Make a normalization layer for N x C x H x W tensors, with a learnt scale and offset per channel.

    Raises:
        UserError: `kind` is not in NORMS.
    """
    check_one_of("norm", kind, NORMS)
    if kind == "batch":
        return BatchNorm2d(channels)
    if kind == "switch":
        return SwitchNorm2d(channels)
    groups = {"instance": channels, "layer": 1, "group": _groups(channels)}[kind]
    return GroupNorm2d(groups, channels)


def norm_makers(norm: str | Norms) -> tuple[MakeNorm, MakeNorm]:
    """Functions that make the norms of the encoder and those of the decoder, from a recipe's `norm`."""
    apart = norm if isinstance(norm, Norms) else Norms(norm, norm)
    check_one_of("Norms.encoder", apart.encoder, NORMS)
    check_one_of("Norms.decoder", apart.decoder, NORMS)
    return (lambda c: make_norm(apart.encoder, c)), (lambda c: make_norm(apart.decoder, c))


@contextmanager
def running_statistics_frozen(module: nn.Module, frozen: bool = True) -> Iterator[None]:
    """Context manager in which norms in training mode do not update their running statistics, if `frozen`.

    For passes over images unlike those of evaluation: corrupted inputs of a pretext task, or strongly augmented
    unlabelled images.
    """
    tracking = [m for m in module.modules() if frozen and getattr(m, "track_running_stats", False)]
    for m in tracking:
        m.track_running_stats = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for m in tracking:
            m.track_running_stats = True  # type: ignore[assignment]


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalization (Ioffe & Szegedy 2015) that also accepts a single value per channel.

    For a single value, torch raises an error in training, because the unbiased variance would be 0 / 0. This class
    returns the offset and does not update the running statistics.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == x.shape[1]:
            return torch.batch_norm(x, self.weight, self.bias, None, None, True, 0.0, self.eps, True)
        return super().forward(x)


class GroupNorm2d(nn.GroupNorm):
    """Group normalization (Wu & He 2018); instance norm with one channel per group, layer norm with one group.

    Unlike torch's, it accepts groups of a single value, for which it returns the offset.
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class SwitchNorm2d(nn.Module):
    """Switchable normalization (Luo et al. 2018, eq. 3-5), a learnt mix of instance, layer and batch statistics.

    Mean and variance are computed once for each map; layer and batch statistics follow from them. Two softmaxes, one
    for means and one for variances, mix the three. The result is `x * scale + shift` with one scale and shift per map,
    so backward keeps only the input.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.9) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum  # weight of the old value, as in the paper; torch's is the weight of the new
        self.track_running_stats = True
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.mean_logits = nn.Parameter(torch.ones(3))
        self.var_logits = nn.Parameter(torch.ones(3))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        if x.is_meta:  # only shapes count there, and forty small operations per norm would take seconds per network
            scale, shift = self.weight.view(1, -1, 1, 1), self.bias.view(1, -1, 1, 1)
        else:
            scale, shift = self._fold(*_Moments.apply(x))  # type: ignore[no-untyped-call]
        return (x * scale + shift).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.weight.numel()}, eps={self.eps}, momentum={self.momentum}"

    def _fold(self, var: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        """Compute scale and shift, N x C x 1 x 1, from variance and mean of every map."""
        layer_var, layer_mean = _pooled(var, mean, dim=1)
        batch_var, batch_mean = self._batch_statistics(var, mean)
        of_mean = self.mean_logits.softmax(0)
        of_var = self.var_logits.softmax(0)
        mixed_mean = of_mean[0] * mean + of_mean[1] * layer_mean + of_mean[2] * batch_mean
        mixed_var = of_var[0] * var + of_var[1] * layer_var + of_var[2] * batch_var
        scale = torch.rsqrt(mixed_var + self.eps) * self.weight.view(1, -1, 1, 1)
        return scale, self.bias.view(1, -1, 1, 1) - mixed_mean * scale

    def _batch_statistics(self, var: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return self.running_var.view(1, -1, 1, 1), self.running_mean.view(1, -1, 1, 1)
        batch_var, batch_mean = _pooled(var, mean, dim=0)
        if self.track_running_stats:
            for running, new in ((self.running_var, batch_var), (self.running_mean, batch_mean)):
                running.lerp_(new.detach().flatten().to(running.dtype), 1 - self.momentum)
        return batch_var, batch_mean


def _pooled(var: Tensor, mean: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Pool variance and mean of equally large parts over `dim`.

    mean(var) + var(mean) equals mean(var + mean^2) - mean^2, but is never negative and does not cancel: a standard
    deviation of .01 at a mean of 300 survives.
    """
    var_of_mean, mean_of_mean = torch.var_mean(mean, dim, correction=0, keepdim=True)
    return var.mean(dim, keepdim=True) + var_of_mean, mean_of_mean


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute variance and mean of every map of x, N x C x 1 x 1, in at least float32.

    Two passes keep a standard deviation of .01 at a mean of 300.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    if x.device.type == "cpu":  # torch.var_mean is not vectorized there and takes over ten times as long
        mean = x.mean((2, 3), keepdim=True, dtype=wide)
        return (x - mean).square_().mean((2, 3), keepdim=True), mean
    var, mean = torch.var_mean(x.to(wide), (2, 3), correction=0, keepdim=True)
    return var, mean


class _Moments(torch.autograd.Function):
    """`_moments` that saves only its input for backward, without centred or float32 copies."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        var, mean = _moments(x)
        ctx.save_for_backward(x, mean)
        return var, mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_var: Tensor, grad_mean: Tensor) -> Tensor:
        x, mean = ctx.saved_tensors
        pixels = x.shape[2] * x.shape[3]
        return (x - mean).mul_(2 * grad_var / pixels).add_(grad_mean / pixels).to(x.dtype)


def _groups(channels: int) -> int:
    """The largest number of equal groups, up to MAX_GROUPS, with at least two channels each."""
    return max(g for g in range(1, MAX_GROUPS + 1) if channels % g == 0 and (channels >= 2 * g or g == 1))
