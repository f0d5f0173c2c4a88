"""Optimizers as recipe components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from nas.models import EncoderNet
from nas.space.component import Component

__all__ = ["SGD", "Adam", "AdamW", "clip_gradients", "set_rates"]


def _groups(network: nn.Module, lr: float, weight_decay: float, classifier_factor: float = 1.0) -> list[dict[str, Any]]:
    """Make parameter groups without weight decay on norm scales and biases, each part at its own learning rate.

    The rate of a classifier is `classifier_factor` times `lr`, that of an encoder its `rate` times `lr`.
    """
    encoders = [module for module in network.modules() if isinstance(module, EncoderNet)]
    # An encoder may contain another one, whose rate does not count.
    factors = {id(p): encoder.rate for encoder in reversed(encoders) for p in encoder.parameters()}
    parts: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            factor_of_rest = classifier_factor if _is_classifier(name) else 1.0
            parts.setdefault(factors.get(id(parameter), factor_of_rest), []).append(parameter)
    return [
        {**group, "lr": lr * factor}
        for factor, trainable in parts.items()
        for group in _split_by_decay(trainable, weight_decay)
    ]


def _split_by_decay(trainable: Sequence[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    return [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _is_classifier(name: str) -> bool:
    """Whether a parameter belongs to a classifier, at any depth of the trained modules."""
    return "classifier" in name.split(".")


@dataclass(frozen=True)
class SGD(Component):
    """Stochastic gradient descent with momentum, by default Nesterov momentum.

    The learning rate of the classifier is `classifier_factor` times `lr` (10 in DeepLab, Chen et al. 2018).
    """

    lr: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = True
    classifier_factor: float = 1.0

    def canonical(self) -> SGD:
        """Reset `nesterov` where there is no momentum."""
        return self if self.momentum > 0 else replace(self, nesterov=SGD.nesterov)

    def build(self, network: nn.Module) -> torch.optim.Optimizer:
        """Build the optimizer for all parameters of a network that require gradients."""
        groups = _groups(network, self.lr, self.weight_decay, self.classifier_factor)
        nesterov = self.nesterov and self.momentum > 0
        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=nesterov)


@dataclass(frozen=True)
class Adam(Component):
    """Adam (Kingma & Ba 2015), with L2 weight decay added to the gradient."""

    lr: float = 1e-3
    weight_decay: float = 0.0

    def build(self, network: nn.Module) -> torch.optim.Optimizer:
        """Build the optimizer for all parameters of a network that require gradients."""
        return torch.optim.Adam(_groups(network, self.lr, self.weight_decay), lr=self.lr)


@dataclass(frozen=True)
class AdamW(Component):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    lr: float = 1e-3
    weight_decay: float = 0.01

    def build(self, network: nn.Module) -> torch.optim.Optimizer:
        """Build the optimizer for all parameters of a network that require gradients."""
        return torch.optim.AdamW(_groups(network, self.lr, self.weight_decay), lr=self.lr)


def set_rates(optimizer: torch.optim.Optimizer, base_rates: Sequence[float], factor: float) -> None:
    """Set the learning rate of each parameter group to `factor` times its base rate."""
    for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
        group["lr"] = rate * factor


def clip_gradients(optimizer: torch.optim.Optimizer, norm: float | None) -> None:
    """Scale the gradients of all parameters to a joint norm of at most `norm`; None changes nothing."""
    if norm:
        nn.utils.clip_grad_norm_((p for group in optimizer.param_groups for p in group["params"]), norm)
