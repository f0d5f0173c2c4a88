"""State of an unfinished training, saved to a file so that the training can continue later."""

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
    """A module or an optimizer: an object with a state dict."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


@dataclass(frozen=True)
class TrainingState:
    """Everything that the further steps of a training depend on. The file holds tensors and numbers, no pickled code.

    Torch's global random state of the CPU and the device is part of it.

    Attributes:
        parts: modules and optimizers by name.
        epochs: the iterators over images.
        generator: the training's random number generator.
        device: the device of the training.
    """

    parts: Mapping[str, Stateful]
    epochs: Sequence[Epochs]
    generator: torch.Generator
    device: torch.device

    def write(self, path: Path, step: int) -> None:
        """Save the state after a step. An existing file is replaced atomically."""
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
        """Restore the state and return the step after which it was saved."""
        # Onto the CPU: an optimizer keeps its step counts where they were loaded, and on a GPU it would wait for each.
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        for epochs, waiting in zip(self.epochs, state["waiting"], strict=True):
            epochs.waiting = waiting
        own, cpu, cuda = state["random"]
        self.generator.set_state(own)
        torch.set_rng_state(cpu)
        # A state that was saved on a CPU has no random state of a GPU.
        if self.device.type == "cuda" and cuda.numel():
            torch.cuda.set_rng_state(cuda, self.device)
        return int(state["step"])
