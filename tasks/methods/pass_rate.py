"""Pass rate: the share of predictions that S4GAN's self-training learns from, with a warning if it is stuck."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

__all__ = ["PassRateMonitor"]

log = logging.getLogger(__name__)

PATIENCE = 100
READ_EVERY = 10


class PassRateMonitor:
    """Warns when no prediction, or every prediction, has passed the threshold for PATIENCE steps in a row."""

    def __init__(self) -> None:
        # Steps in a row in which all predictions passed; negative for steps in which none did.
        self.streak = 0
        self.unread: list[Tensor] = []

    def add(self, rate: Tensor, threshold: str) -> None:
        """Record the pass rate of a step, a scalar on any device. `threshold` names the threshold in the warning.

        Rates are read READ_EVERY at once, because each read would wait for the device.
        """
        self.unread.append(rate)
        if len(self.unread) == READ_EVERY:
            for known in torch.stack([each.cpu() for each in self.unread]).tolist():
                self._count(known, threshold)
            self.unread.clear()

    def _count(self, rate: float, threshold: str) -> None:
        if rate == 1.0:
            self.streak = max(self.streak, 0) + 1
        else:
            self.streak = min(self.streak, 0) - 1 if rate == 0.0 else 0
        if abs(self.streak) == PATIENCE:
            log.warning(
                "S4GAN: %s of the predictions passed the %s for %d steps; self-training %s",
                "none" if rate == 0 else "all",
                threshold,
                PATIENCE,
                'is idle, lower it or use threshold_kind="quantile"'
                if rate == 0
                else "filters nothing, raise it or unlabelled_batch",
            )

    def state_dict(self) -> dict[str, Any]:
        return {"extreme": self.streak, "rates": [rate.cpu() for rate in self.unread]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.streak, self.unread = state["extreme"], list(state["rates"])
