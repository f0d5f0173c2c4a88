"""An exponential moving average of a network: weights and norm buffers alike."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["ema_update", "young_decay"]


@torch.no_grad()
def ema_update(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average = decay * average + (1 - decay) * network, for weights and floating-point buffers; the rest is copied."""
    old, new = average.state_dict(), network.state_dict()
    for name, tensor in old.items():
        if tensor.is_floating_point():
            tensor.lerp_(new[name], 1 - decay)
        else:
            tensor.copy_(new[name])


def young_decay(decay: float, updates: int) -> float:
    """The decay after so many updates: at most (n + 1) / (n + 10), so that a random start is soon forgotten."""
    return min(decay, (updates + 1) / (updates + 10))
