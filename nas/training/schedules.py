"""Learning-rate schedules as recipe components."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nas.space.component import Component

__all__ = ["Constant", "Cosine", "Poly"]


@dataclass(frozen=True)
class _Schedule(Component):
    """Linear warm-up over the share `warmup` of the steps, then the schedule's own curve.

    The learning rate depends only on the step and the planned number of steps, not on early stopping.
    """

    warmup: float = 0.0

    def factor(self, step: int, steps: int) -> float:
        """Return the factor on the learning rate, in (0, 1], at `step`, which runs from 0 to `steps` - 1."""
        warm = self.warmup * steps
        if step < warm:
            return (step + 1) / (warm + 1)
        return self._curve((step - warm) / max(steps - warm, 1))

    def _curve(self, progress: float) -> float:
        return 1.0


@dataclass(frozen=True)
class Constant(_Schedule):
    """A constant learning rate."""


@dataclass(frozen=True)
class Poly(_Schedule):
    """Polynomial decay: (1 - progress) ** power (0.9 in DeepLab, Chen et al. 2017)."""

    power: float = 0.9

    def _curve(self, progress: float) -> float:
        return float((1 - progress) ** self.power)


@dataclass(frozen=True)
class Cosine(_Schedule):
    """Cosine annealing from 1 to 0 (Loshchilov & Hutter 2017)."""

    def _curve(self, progress: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * progress))
