"""Learning-rate schedules as recipe components: a factor on the optimizer's rate at each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nas.space.component import Component

__all__ = ["Constant", "Cosine", "Poly"]


@dataclass(frozen=True)
class _Schedule(Component):
    """Linear warm-up over the first `warmup` of the steps, then the schedule's own curve.

    A learning rate is a function of the step of a fixed total, never of when a trial is stopped.
    """

    warmup: float = 0.0

    def factor(self, step: int, steps: int) -> float:
        """The factor at `step` (from 0) of `steps`; in (0, 1]."""
        warm = self.warmup * steps
        if step < warm:
            return (step + 1) / (warm + 1)
        return self._curve((step - warm) / max(steps - warm, 1))

    def _curve(self, progress: float) -> float:
        return 1.0


@dataclass(frozen=True)
class Constant(_Schedule):
    """The optimizer's rate throughout."""


@dataclass(frozen=True)
class Poly(_Schedule):
    """(1 - progress) ** power (Chen et al. 2017, DeepLab: power 0.9)."""

    power: float = 0.9

    def _curve(self, progress: float) -> float:
        return float((1 - progress) ** self.power)


@dataclass(frozen=True)
class Cosine(_Schedule):
    """Half a cosine from 1 to 0 (Loshchilov & Hutter 2017)."""

    def _curve(self, progress: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * progress))
