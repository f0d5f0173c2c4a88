"""Bilinear interpolation whose gradient is the same at every run, on a GPU as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["bilinear"]


def bilinear(x: Tensor, size: Sequence[int]) -> Tensor:
    """N x C x h x w to N x C x H x W for size (H, W), corners not aligned.

    On a GPU torch adds its gradient up in any order; asked for a repeatable one, it gathers four copies of the
    output, forwards and backwards.
    """
    if x.is_cuda:
        grown: Tensor = Interpolated.apply(x, *size)  # type: ignore[no-untyped-call]
        return grown
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


class Interpolated(torch.autograd.Function):
    """The same by torch's kernel, and backwards by two matrix products: it is linear, a side at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, height: int, width: int) -> Tensor:
        ctx.sides = x.shape[2:]
        grown: Tensor = torch.ops.aten.upsample_bilinear2d(x, [height, width], False)
        return grown

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        rows, columns = (shares(to, of, grad) for to, of in zip(grad.shape[2:], ctx.sides, strict=True))
        return rows.mT @ grad @ columns, None, None


def shares(to: int, of: int, like: Tensor) -> Tensor:
    """What each of `to` interpolated pixels along a side takes of each of the `of` given ones, to x of."""
    at = (torch.arange(to, device=like.device) + 0.5) * (of / to) - 0.5
    apart = at.clamp(0, of - 1).unsqueeze(1) - torch.arange(of, device=like.device)
    return (1 - apart.abs()).clamp_min(0).to(like.dtype)
