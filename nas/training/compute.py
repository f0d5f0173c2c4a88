"""How a network computes on a device: its layout in memory and its precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from nas.models import Network

__all__ = ["autocast", "likeliest", "memory_layout"]


def memory_layout(network: Network, device: torch.device) -> torch.memory_format:
    """Channels last, which convolutions are quickest in; planar for instance and group norm on a CPU.

    torch has no quick kernel there for the statistics of a few channels in a channels-last tensor.
    Pretext heads have no say: a network is evaluated without them, and is to round as it did with them.
    """
    modules = (*network.encoder.modules(), *network.decoder.modules())
    grouped = any(isinstance(m, nn.GroupNorm) and m.num_groups > 1 for m in modules)
    return torch.contiguous_format if grouped and device.type == "cpu" else torch.channels_last


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where the hardware multiplies it, full precision elsewhere: neither needs its losses scaled."""
    return torch.autocast(device.type, torch.bfloat16) if _has_bfloat16(device) else nullcontext()


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch says so under private names only, and older ones know fewer.
    known = (getattr(torch.cpu, f"_is_{unit}_supported", None) for unit in ("avx512_bf16", "amx_tile"))
    return device.type == "cpu" and any(supported is not None and supported() for supported in known)


def likeliest(scores: torch.Tensor) -> torch.Tensor:
    """The class of the highest score, N x H x W int64 from N x K x H x W.

    `argmax` over classes takes four times as long on a CPU.
    """
    return scores.max(1).indices
