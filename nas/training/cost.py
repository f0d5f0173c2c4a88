"""What a candidate costs, found on the meta device: no memory is taken and nothing is computed."""

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
    """What the network costs that is evaluated, a veto included; the training of method and pretext tasks comes on top.

    Attributes:
        params: parameters.
        macs: multiply-adds of the prediction of one image.
        memory_mb: MB of the weights and what is trained with them, and of what a labelled batch keeps for backward.
    """

    params: int
    macs: int
    memory_mb: float


@lru_cache(maxsize=4096)
def cost(candidate: Recipe, size: tuple[int, int] = (96, 128), classes: int = 11) -> Cost:
    """The cost of a closed candidate at an image size (height, width).

    Raises:
        Exception: whatever building the network raises, when its parts do not fit.
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
    # Weights, what is trained of them with gradients and two moments, and the activations of the batch.
    memory = weights + 3 * trained + candidate.labelled_batch * max(sum(saved.values()) - weights, 0)
    return Cost(params, counter.get_total_flops() // 2, memory / 1e6)
