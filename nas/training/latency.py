"""Latency of a network on a device."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

__all__ = ["latency_ms"]

WARM_UP, RUNS = 3, 15


@torch.inference_mode()
def latency_ms(network: nn.Module, size: tuple[int, int], device: torch.device) -> float:
    """Measure the median time of a forward pass of one image of `size` (height, width), in milliseconds.

    The first passes, which choose kernels and allocate buffers, are not counted.
    """
    network.eval()
    image = torch.zeros(1, 3, *size, device=device)
    taken = []
    for run in range(WARM_UP + RUNS):
        _wait(device)
        started = time.perf_counter()
        network(image)
        _wait(device)
        if run >= WARM_UP:
            taken.append(1000.0 * (time.perf_counter() - started))
    return statistics.median(taken)


def _wait(device: torch.device) -> None:
    """Wait until the device has finished. On a GPU, calls return before that."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
