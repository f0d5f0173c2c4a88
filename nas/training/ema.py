"""An exponential moving average of a network: weights and norm buffers alike."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["ema_update", "young_decay"]


@torch.no_grad()
def ema_update(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average = decay * average + (1 - decay) * network, for weights and floating-point buffers; the rest is copied."""
    old, new = average.state_dict(), network.state_dict()
    floating = [name for name, tensor in old.items() if tensor.is_floating_point()]
    # All at once: on a GPU a kernel a tensor would cost more than its work.
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    update([old[name] for name in floating], [new[name] for name in floating], None)
    for name in old.keys() - set(floating):
        old[name].copy_(new[name])


def young_decay(decay: float, updates: int) -> float:
    """The decay after so many updates: at most (n + 1) / (n + 10), so that a random start is soon forgotten."""
    return min(decay, (updates + 1) / (updates + 10))
