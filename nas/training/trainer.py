"""The trainer: one loop for every recipe, reporting a validation mIoU at each rung."""

from __future__ import annotations

import copy
import logging
import os
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nas.models import Network, build_network, running_statistics_frozen
from nas.space import PretrainThenFinetune, Recipe
from nas.training.augment import colour_jitter
from nas.training.batch import VOID, Batch, Logs
from nas.training.compute import autocast, memory_layout
from nas.training.ema import ema_update, young_decay
from nas.training.evaluate import confusion
from nas.training.images import Epochs, Images
from nas.training.memory import peak_megabytes, reset_peak
from nas.training.metrics import Confusion, Scores
from nas.training.protocols import Data, Split
from nas.training.state import TrainingState

__all__ = ["Plan", "Trained", "Training", "TrainingError", "class_pixels", "train"]

log = logging.getLogger(__name__)

LOSS_CHECK_EVERY = 10

Report = Callable[[int, float], bool]
"""report(step, validation mIoU) -> whether to go on."""


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says why and at which step."""


@dataclass(frozen=True)
class Plan:
    """How long to train, when to report, and with which random numbers.

    Attributes:
        steps: optimizer steps of a full training; the schedule spans them.
        rungs: steps after which the validation mIoU is reported; the last one is `steps`. A rung before
            segmentation is trained at all says nothing, and is left out.
        seed: of initialisation, sampling, augmentation and every task.
        device: "cpu" or "cuda".
        stop: the step after which the training ends although its schedule spans `steps`; None for `steps`.
    """

    steps: int
    rungs: tuple[int, ...]
    seed: int = 0
    device: str = "cpu"
    stop: int | None = None

    @property
    def end(self) -> int:
        """The last step that is trained."""
        return self.steps if self.stop is None else self.stop


@dataclass
class Trained:
    """A trained network and what it took. `scores` are those of the last rung reached."""

    network: Network
    scores: Scores
    steps: int
    seconds: float
    step_seconds: float
    peak_mb: float
    logs: dict[str, float] = field(default_factory=dict)


def train(
    candidate: Recipe,
    data: Data,
    plan: Plan,
    report: Report = lambda step, miou: True,
    paused: Path | None = None,
    alive: Callable[[], None] = lambda: None,
) -> Trained:
    """Train a closed recipe on few labelled and many unlabelled images.

    Args:
        report: given each rung's step and validation mIoU; says whether to go on.
        paused: where a training that `report` stops is kept. One that is kept there is taken up, and ends as if it
            had never been stopped, on the same kind of device. None to keep nothing.
        alive: called after every step, and every batch of an evaluation.

    Raises:
        TrainingError: when a loss is no longer finite.
        torch.OutOfMemoryError: when the device has too little memory.
    """
    reset_peak(torch.device(plan.device))
    return Training(candidate, data, plan, paused).run(report, alive)


class Training:
    """The state of one training."""

    def __init__(self, candidate: Recipe, data: Data, plan: Plan, paused: Path | None = None) -> None:
        # A task of no weight is none, as `Recipe.canonical` has it.
        candidate = replace(candidate, pretext=tuple(task for task in candidate.pretext if task.weight > 0))
        self.candidate, self.plan, self.paused = candidate, plan, paused
        self.device = torch.device(plan.device)
        _make_deterministic(self.device, plan.seed)
        self.classes = len(data.classes)
        self.generator = torch.Generator().manual_seed(plan.seed)
        self.labelled = Images(data.labelled, self.device)
        self.unlabelled = Images(data.unlabelled, self.device)
        self.validation = Images(data.validation, self.device)
        self.shifted = data.shifted
        self.network = build_network(candidate, self.classes)
        self.network.encoder.load_weights()
        for task in candidate.pretext:
            name = type(task).__name__
            self.network.heads[name] = task.head(self.network.encoder.channels, self.network.encoder.reductions)
        self.layout = memory_layout(self.network, self.device)
        self.network.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
        self.own = candidate.method.build(self.network, self.classes)
        if self.own is not None:
            self.own.to(self.device)
        self.average = copy.deepcopy(self.network) if candidate.ema and not candidate.method.averages else None
        available = len(self.unlabelled) if candidate.unlabelled_batch else 0
        advice = candidate.method.advice(len(self.labelled), available)
        if advice:
            log.warning(advice)
        self.criterion = candidate.loss.build(class_pixels(data.labelled, self.classes)).to(self.device)
        self.optimizer = candidate.optimizer.build(nn.ModuleList(m for m in (self.network, self.own) if m is not None))
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.logs: Logs = {}
        self.step = self.begun = 0
        self.seconds = self.validating = 0.0
        self.confusion: Confusion | None = None
        self.epochs = Epochs(len(self.labelled), candidate.labelled_batch, self.generator)
        # Steps that train the pretext tasks alone.
        self.pretrain = 0
        if candidate.pretext and isinstance(candidate.curriculum, PretrainThenFinetune):
            self.pretrain = round(candidate.curriculum.fraction * plan.steps)
        wanted = candidate.unlabelled_batch if self._uses_unlabelled() else 0
        self.unlabelled_epochs = Epochs(len(self.unlabelled), wanted, self.generator)

    def run(self, report: Report, alive: Callable[[], None]) -> Trained:
        for counted in self.rungs(alive):
            if not report(self.step, counted.scores().miou):
                self.pause()
                break
        return self.trained()

    def rungs(self, alive: Callable[[], None]) -> Generator[Confusion, None, None]:
        """Train from rung to rung; yield the validation confusion matrix of each."""
        batches = self._batches()
        if self.paused and self.paused.exists():
            self.step = self.begun = self._state().read(self.paused)
        self.network.train()
        while self.step < self.plan.end:
            started = time.perf_counter()
            self._step(next(batches), self.step)
            self.step += 1
            alive()
            self.seconds += time.perf_counter() - started
            trained = self._branches(self.step - 1)[1]
            if self.step == self.plan.end or (self.step in self.plan.rungs and trained):
                started = time.perf_counter()
                self._check_finite(self.step)
                self.confusion = confusion(self._predictor(), self.validation, self.classes, self.device, alive)
                self.validating += time.perf_counter() - started
                yield self.confusion

    def pause(self) -> None:
        """Keep the state of a training that is stopped before its end, where that is asked for."""
        if self.paused and self.step < self.plan.end:
            self._state().write(self.paused, self.step)

    def trained(self) -> Trained:
        """What the training has led to at its last rung.

        Raises:
            TrainingError: it has reached no rung.
        """
        if self.confusion is None:
            raise TrainingError("a training needs at least one step")
        return Trained(
            network=self._predictor(),
            scores=self.confusion.scores(),
            steps=self.step,
            seconds=self.seconds + self.validating,
            step_seconds=self.seconds / (self.step - self.begun),
            peak_mb=peak_megabytes(self.device),
            logs={name: float(value) for name, value in self.logs.items()},
        )

    def _state(self) -> TrainingState:
        own = {name: part for name, part in (("own", self.own), ("average", self.average)) if part is not None}
        parts = {"network": self.network, "optimizer": self.optimizer, **own}
        return TrainingState(parts, (self.epochs, self.unlabelled_epochs), self.generator, self.device)

    def _predictor(self) -> Network:
        return self.candidate.method.predictor(self.own, self.average or self.network)

    def _batches(self) -> Iterator[Batch]:
        candidate, rng = self.candidate, self.generator
        while True:
            chosen = next(self.epochs)
            images, masks = candidate.augment.view(self.labelled.images(chosen), self.labelled.masks(chosen), rng)
            coloured = colour_jitter(images, candidate.augment.colour, rng)
            plain = None if coloured is images else images
            others = None
            if self.unlabelled_epochs.batch:
                others, _ = candidate.augment.view(self.unlabelled.images(next(self.unlabelled_epochs)), None, rng)
                others = others.contiguous(memory_format=self.layout)
            coloured = coloured.contiguous(memory_format=self.layout)
            yield Batch(coloured, masks, others, rng, self.criterion, plain, self.shifted)

    def _uses_unlabelled(self) -> bool:
        wanted = bool(self.candidate.pretext) or self.candidate.method.needs_unlabelled
        return wanted and len(self.unlabelled) > 0 and self.candidate.unlabelled_batch > 0

    def _step(self, batch: Batch, step: int) -> None:
        """One optimizer step. Each branch is taken backward at once, so that memory holds one branch at a time."""
        factor = self.candidate.schedule.factor(step, self.plan.steps)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.zero_grad(set_to_none=True)
        pretext, segmentation = self._branches(step)
        if segmentation:
            self._segmentation(batch, step)
        if pretext:
            self._pretext(batch)
        if (step + 1) % LOSS_CHECK_EVERY == 0:
            self._check_finite(step + 1)
        if self.candidate.clip:
            trained = (p for group in self.optimizer.param_groups for p in group["params"])
            nn.utils.clip_grad_norm_(trained, self.candidate.clip)
        self.optimizer.step()
        if segmentation:
            self.candidate.method.update(self.own, self.network, batch, step)
        if self.average is not None and self.candidate.ema:
            ema_update(self.average, self.network, young_decay(self.candidate.ema, step))

    def _branches(self, step: int) -> tuple[bool, bool]:
        """Whether this step trains the pretext tasks, and whether it trains segmentation."""
        if self.pretrain:
            return step < self.pretrain, step >= self.pretrain
        return bool(self.candidate.pretext), True

    def _segmentation(self, batch: Batch, step: int) -> None:
        # What a method warms up or ramps up begins with the classes, not with the pretext tasks before them.
        progress = (step - self.pretrain) / (self.plan.steps - self.pretrain)
        with autocast(self.device):
            logits = self.network(batch.images)
            supervised = self.criterion(logits, batch.masks)
            added, logged = self.candidate.method.loss(self.own, self.network, batch, logits, progress)
        total = supervised + added
        total.backward()
        self.logs |= {"loss.segmentation": supervised.detach(), "loss": total.detach(), **logged}

    def _pretext(self, batch: Batch) -> None:
        """As many images as are labelled in the step, drawn from all of them, are dealt out among the tasks.

        A step so costs one more pass, whatever the number of tasks.
        """
        images = batch.images if batch.unlabelled is None else torch.cat([batch.images, batch.unlabelled])
        tasks = self.candidate.pretext
        order = torch.randperm(len(images), generator=batch.generator)
        wanted = max(len(batch.images), len(tasks))
        for i, task in enumerate(tasks):
            # Fewer images than tasks: they are used again.
            chosen = order[torch.arange(i, wanted, len(tasks)) % len(order)]
            share = images[chosen.to(images.device, non_blocking=True)]
            with autocast(self.device), self._statistics():
                inputs, targets = task.make_batch(share, batch.generator)
                name = type(task).__name__
                prediction = self.network.heads[name](self.network.features(inputs))
                loss = task.loss(prediction, targets)
            (task.weight * loss).backward()
            self.logs[f"loss.{name.lower()}"] = loss.detach()

    def _statistics(self) -> AbstractContextManager[object]:
        clean = self.candidate.pretext_statistics == "clean"
        return running_statistics_frozen(self.network) if clean else nullcontext()

    def _check_finite(self, step: int) -> None:
        for name, value in self.logs.items():
            if name.startswith("loss") and not np.isfinite(float(value)):
                optimizer = self.candidate.optimizer
                raise TrainingError(
                    f"{name} is {float(value)} at step {step} ({type(optimizer).__name__}, lr {optimizer.lr:g}): "
                    "a lower learning rate or gradient clipping may help"
                )


def class_pixels(split: Split, classes: int) -> list[int]:
    """Labelled pixels of each class."""
    assert split.masks is not None
    # Mask by mask, as counting takes eight bytes a pixel.
    counts = sum((np.bincount(mask.ravel(), minlength=VOID + 1) for mask in split.masks), np.zeros(VOID + 1, np.int64))
    return [int(n) for n in counts[:classes]]


def _make_deterministic(device: torch.device, seed: int) -> None:
    torch.manual_seed(seed)
    if device.type == "cuda":
        # Needed by cuBLAS for repeatable sums; read when its first handle is made.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Nothing is read that was not written, and torch warns of operations for uses of them that are not ours.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", "[^ ]* does not have a deterministic implementation")
        torch.backends.cudnn.benchmark = False
