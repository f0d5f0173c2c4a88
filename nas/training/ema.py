"""Exponential moving average of a network's weights and norm buffers."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["decay_with_warmup", "ema_update"]


@torch.no_grad()
def ema_update(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Set average = decay * average + (1 - decay) * network. Buffers that are not floating-point are copied."""
    old, new = average.state_dict(), network.state_dict()
    floating = [name for name, tensor in old.items() if tensor.is_floating_point()]
    # All tensors at once: on a GPU, one kernel per tensor would take longer.
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    update([old[name] for name in floating], [new[name] for name in floating], None)
    for name in old.keys() - set(floating):
        old[name].copy_(new[name])


def decay_with_warmup(decay: float, updates: int) -> float:
    """Return min(decay, (n + 1) / (n + 10)) after n updates, so that the random initial weights are soon forgotten."""
    return min(decay, (updates + 1) / (updates + 10))
