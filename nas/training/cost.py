"""Parameters, multiply-adds and memory of a candidate, computed on the meta device from shapes alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.models import build_network
from nas.space import Recipe

__all__ = ["Cost", "cost"]


@dataclass(frozen=True)
class Cost:
    """Cost of the evaluated network, including a veto. Training a method or pretext tasks costs more.

    Attributes:
        params: number of parameters.
        macs: multiply-adds for one image.
        memory_mb: MB of weights, gradients, optimizer moments and the activations of a labelled batch.
    """

    params: int
    macs: int
    memory_mb: float


@lru_cache(maxsize=4096)
def cost(candidate: Recipe, size: tuple[int, int] = (96, 128), classes: int = 11) -> Cost:
    """Compute the cost of a closed candidate at an image size (height, width).

    Raises:
        Exception: anything that building the network raises.
    """
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.device("meta"):
        network = candidate.method.inference(build_network(candidate, classes))
        image = torch.zeros(1, 3, *size)
    counter = FlopCounterMode(display=False)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t), counter:
        network.train()(image)
    params = sum(p.numel() for p in network.parameters())
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    trained = sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)
    # Weights; gradients and two moments of the trained ones; activations of the batch.
    memory = weights + 3 * trained + candidate.labelled_batch * max(sum(saved.values()) - weights, 0)
    return Cost(params, counter.get_total_flops() // 2, memory / 1e6)
