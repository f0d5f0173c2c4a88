"""A tiny network and its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.export import Exported, export, save_checkpoint
from nas.models import Encoder, Network, Plain, Stage, UNet, build_network
from nas.space import Recipe
from nas.tasks import Supervised

CLASSES = ("road", "car", "sky")
SIZE = (24, 32)


@dataclass(frozen=True)
class Part:
    images: np.ndarray
    masks: np.ndarray | None = None


@dataclass(frozen=True)
class TinyData:
    labelled: Part
    classes: tuple[str, ...] = CLASSES
    palette: tuple[tuple[int, int, int], ...] = ((128, 64, 128), (0, 0, 142), (70, 130, 180))


@pytest.fixture(scope="session")
def data() -> TinyData:
    return TinyData(Part(np.zeros((2, *SIZE, 3), np.uint8)))


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    stages = (Stage(Plain(convs=1), 4), Stage(Plain(convs=1), 6), Stage(Plain(convs=1), 8))
    return Recipe(encoder=Encoder(stages), decoder=UNet(block=Plain(convs=1)), norm="switch", method=Supervised())


def trained_network(recipe: Recipe) -> Network:
    """A network as after training: with updated running statistics and a pretext head; no class dominates."""
    torch.manual_seed(0)
    network = build_network(recipe, len(CLASSES))
    network.heads["Task"] = torch.nn.Linear(2, 2)
    for _ in range(3):
        network(torch.rand(2, 3, *SIZE))
    network.eval()
    blocks = torch.rand(8, 3, 3, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    with torch.no_grad():
        network.classifier.bias -= network(blocks).mean((0, 2, 3))
    return network


@pytest.fixture
def network(recipe: Recipe) -> Network:
    return trained_network(recipe)


def saved(folder: Path, network: Network, recipe: Recipe, data: TinyData) -> Path:
    path = folder / "best.safetensors"
    save_checkpoint(path, network, recipe, data, {"validation_miou": 0.1 + 0.2}, {"seed": 3})
    return path


@pytest.fixture
def checkpoint(tmp_path: Path, network: Network, recipe: Recipe, data: TinyData) -> Path:
    return saved(tmp_path, network, recipe, data)


@pytest.fixture(scope="session")
def pt2(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, data: TinyData) -> Exported:
    """The checkpoint exported to pt2. Tests must not change it."""
    return export(saved(tmp_path_factory.mktemp("pt2"), trained_network(recipe), recipe, data), "pt2")
