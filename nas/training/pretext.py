"""Pretext tasks on an encoder: their share of a training step, and their scores on held-out images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nas.models import Network, running_statistics_frozen
from nas.training.batch import Logs
from nas.training.compute import autocast
from nas.training.protocols import PretextTask

__all__ = ["PretextScore", "add_heads", "pretext_backward", "pretext_scores"]


def add_heads(network: Network, tasks: Iterable[PretextTask]) -> None:
    """Give a network the heads of pretext tasks."""
    for task in tasks:
        network.heads[type(task).__name__] = task.head(network.encoder.channels, network.encoder.reductions)


def pretext_backward(
    network: Network,
    tasks: Sequence[PretextTask],
    images: Tensor,
    count: int,
    generator: torch.Generator,
    clean: bool,
) -> Logs:
    """Add the gradients of the weighted losses of all tasks, each on its share of a random sample of images.

    Each loss runs backward at once, so that memory holds one graph at a time.

    Args:
        network: the network with the heads of the tasks.
        tasks: the tasks.
        images: images N x 3 x H x W in [0, 1].
        count: number of images to sample. The cost is that of one pass over them for any number of tasks.
        generator: source of all random numbers.
        clean: whether running statistics of norms stay as they are.

    Returns:
        The unweighted loss of each task by name.
    """
    logs: Logs = {}
    order = torch.randperm(len(images), generator=generator)
    for i, task in enumerate(tasks):
        # The modulo reuses images if there are fewer than tasks.
        chosen = order[torch.arange(i, max(count, len(tasks)), len(tasks)) % len(order)]
        share = images[chosen.to(images.device, non_blocking=True)]
        with autocast(images.device), running_statistics_frozen(network, clean):
            inputs, targets = task.make_batch(share, generator)
            name = type(task).__name__
            loss = task.loss(network.heads[name](network.features(inputs)), targets)
        (task.weight * loss).backward()  # type: ignore[no-untyped-call]
        logs[f"loss.{name.lower()}"] = loss.detach()
    return logs


@dataclass(frozen=True)
class PretextScore:
    """Score of a pretext task on held-out images.

    Attributes:
        task: name of the task.
        loss: mean loss.
        accuracy: accuracy of a classification, None for any other task.
        chance: accuracy without learning: that of guessing one label per image, or of always answering the most
            frequent label of a map.
    """

    task: str
    loss: float
    accuracy: float | None = None
    chance: float | None = None


@torch.no_grad()
def pretext_scores(
    network: Network, tasks: Sequence[PretextTask], batches: Iterable[Tensor], seed: int
) -> list[PretextScore]:
    """Score pretext tasks on images. The inputs depend on the seed alone, so that scores can be compared.

    Norms use the statistics of each batch, as in the training: running statistics are those of clean images.

    Args:
        network: the network with the heads of the tasks; its mode is restored.
        tasks: the tasks.
        batches: batches of images N x 3 x H x W in [0, 1].
        seed: seed of the tasks' random numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    sums = [_Sums(task) for task in tasks]
    was_training = network.training
    network.train()
    for images in batches:
        for each in sums:
            with autocast(images.device), running_statistics_frozen(network):
                inputs, targets = each.task.make_batch(images, generator)
                prediction = network.heads[each.name](network.features(inputs))
                each.add(prediction, targets, len(images))
    network.train(was_training)
    return [each.score() for each in sums]


class _Sums:
    """Sums over batches of the loss, the accuracy and the frequencies of labels of a task."""

    def __init__(self, task: PretextTask) -> None:
        self.task, self.name = task, type(task).__name__
        self.count = 0
        self.loss = self.accuracy = 0.0
        self.labels: Tensor | None = None
        self.classes = 0

    def add(self, prediction: Tensor, targets: Any, count: int) -> None:
        self.count += count
        self.loss += count * float(self.task.loss(prediction, targets))
        if _is_classification(prediction, targets):
            self.classes = 0 if targets.ndim > 1 else prediction.shape[1]
            self.accuracy += count * self.task.metric(prediction, targets)
            found = torch.bincount(targets.flatten().cpu(), minlength=prediction.shape[1])
            self.labels = found if self.labels is None else self.labels + found

    def score(self) -> PretextScore:
        if self.labels is None:
            return PretextScore(self.name, self.loss / self.count)
        chance = 1 / self.classes if self.classes else float(self.labels.max() / self.labels.sum())
        return PretextScore(self.name, self.loss / self.count, self.accuracy / self.count, chance)


def _is_classification(prediction: Tensor, targets: Any) -> bool:
    """Whether targets are class indices: one per image, or a map of them."""
    return isinstance(targets, Tensor) and targets.dtype == torch.int64 and prediction.ndim == targets.ndim + 1
