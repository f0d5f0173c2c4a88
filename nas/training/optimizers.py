"""Optimizers as recipe components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nas.space.component import Component

__all__ = ["SGD", "Adam", "AdamW"]


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups in which norm gains and biases are not decayed."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]


@dataclass(frozen=True)
class SGD(Component):
    """Stochastic gradient descent with Nesterov momentum."""

    lr: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def build(self, network: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of all the network's parameters."""
        groups = _groups(network, self.weight_decay)
        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.momentum > 0)


@dataclass(frozen=True)
class Adam(Component):
    """Adam (Kingma & Ba 2015), with L2 weight decay added to the gradient."""

    lr: float = 1e-3
    weight_decay: float = 0.0

    def build(self, network: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of all the network's parameters."""
        return torch.optim.Adam(_groups(network, self.weight_decay), lr=self.lr)


@dataclass(frozen=True)
class AdamW(Component):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    lr: float = 1e-3
    weight_decay: float = 0.01

    def build(self, network: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of all the network's parameters."""
        return torch.optim.AdamW(_groups(network, self.weight_decay), lr=self.lr)
