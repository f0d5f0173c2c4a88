"""Bilinear interpolation with a deterministic gradient, also on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["bilinear"]


def bilinear(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize N x C x h x w to N x C x H x W for `size` (H, W), without aligned corners.

    On a GPU, the gradient of torch's own kernel adds in any order, and its deterministic replacement gathers four
    copies of the output in both passes. `DeterministicBilinear` avoids both.
    """
    if x.is_cuda:
        resized: Tensor = DeterministicBilinear.apply(x, *size)  # type: ignore[no-untyped-call]
        return resized
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


class DeterministicBilinear(torch.autograd.Function):
    """Bilinear interpolation: torch's kernel forward; backward, one matrix product for each axis."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, height: int, width: int) -> Tensor:
        ctx.input_size = x.shape[2:]
        resized: Tensor = torch.ops.aten.upsample_bilinear2d(x, [height, width], False)
        return resized

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        rows, columns = (
            interpolation_matrix(n_out, n_in, grad) for n_out, n_in in zip(grad.shape[2:], ctx.input_size, strict=True)
        )
        return rows.mT @ grad @ columns, None, None


def interpolation_matrix(n_out: int, n_in: int, like: Tensor) -> Tensor:
    """Weights n_out x n_in of input pixels in output pixels along one axis, with dtype and device of `like`."""
    source = (torch.arange(n_out, device=like.device) + 0.5) * (n_in / n_out) - 0.5
    distance = source.clamp(0, n_in - 1).unsqueeze(1) - torch.arange(n_in, device=like.device)
    return (1 - distance.abs()).clamp_min(0).to(like.dtype)
