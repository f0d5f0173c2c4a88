"""Everything that a training depends on in mid-way, written to a file and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from nas.files import replacing
from nas.training.images import Epochs

__all__ = ["TrainingState"]


class Stateful(Protocol):
    """A module or an optimizer."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


@dataclass(frozen=True)
class TrainingState:
    """What a training's further steps depend on; plain tensors and numbers when written, no pickled code.

    Attributes:
        parts: modules and optimizers by name.
        epochs: where the draws of images stand.
        generator: the training's own random numbers; those of torch on the CPU and on the device belong to it too.
    """

    parts: Mapping[str, Stateful]
    epochs: Sequence[Epochs]
    generator: torch.Generator
    device: torch.device

    def write(self, path: Path, step: int) -> None:
        """Keep the state after a step; a file that is there already is replaced in one move."""
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else torch.empty(0)
        state = {
            "step": step,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "waiting": [epochs.waiting.clone() for epochs in self.epochs],
            "random": [self.generator.get_state(), torch.get_rng_state(), cuda],
        }
        with replacing(path) as temporary:
            torch.save(state, temporary)

    def read(self, path: Path) -> int:
        """Restore the state; the step after which it was kept."""
        # Onto the CPU: an optimizer leaves its step counts where they were read, and on a GPU it would wait for each.
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        for epochs, waiting in zip(self.epochs, state["waiting"], strict=True):
            epochs.waiting = waiting
        own, everywhere, cuda = state["random"]
        self.generator.set_state(own)
        torch.set_rng_state(everywhere)
        # A state that was kept on a CPU has none of a GPU.
        if self.device.type == "cuda" and cuda.numel():
            torch.cuda.set_rng_state(cuda, self.device)
        return int(state["step"])
