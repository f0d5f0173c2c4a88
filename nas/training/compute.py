"""Memory layout and precision of a network on a device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from nas.models import Network

__all__ = ["autocast", "depthwise_in_float32", "memory_layout", "predicted_classes"]


def memory_layout(network: Network, device: torch.device) -> torch.memory_format:
    """Choose channels-last, which is fastest for convolutions; contiguous for instance and group norm on a CPU.

    On a CPU, torch has no fast kernel for statistics of a few channels of a channels-last tensor. Pretext heads do not
    affect the choice: a network is evaluated without them and must round as in training.
    """
    modules = (*network.encoder.modules(), *network.decoder.modules())
    grouped = any(isinstance(m, nn.GroupNorm) and m.num_groups > 1 for m in modules)
    return torch.contiguous_format if grouped and device.type == "cpu" else torch.channels_last


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16 if the hardware multiplies it, else keep full precision. Neither needs loss scaling."""
    return torch.autocast(device.type, torch.bfloat16) if _has_bfloat16(device) else nullcontext()


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch has only private functions for this, and older versions have fewer of them.
    known = (getattr(torch.cpu, f"_is_{unit}_supported", None) for unit in ("avx512_bf16", "amx_tile"))
    return device.type == "cpu" and any(supported is not None and supported() for supported in known)


class _InFloat32(nn.Module):
    """Mixin for a layer that computes in float32, also under autocast."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def depthwise_in_float32(network: nn.Module) -> None:
    """Exclude the depthwise convolutions of a network on a CPU from autocast.

    They are limited by memory and not by multiplications: bfloat16 makes their gradients several times slower there.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and 1 < module.in_channels == module.groups == module.out_channels:
            # The layer keeps its state and its own forward, of which other libraries have several.
            kind = type(module)
            module.__class__ = type(kind.__name__, (_InFloat32, kind), {})


def predicted_classes(scores: torch.Tensor) -> torch.Tensor:
    """Return the classes of the highest scores, N x K x H x W to N x H x W int64.

    On a CPU, `argmax` over classes takes four times as long.
    """
    return scores.max(1).indices
