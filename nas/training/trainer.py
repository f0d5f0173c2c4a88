"""Trainer: one training loop for all recipes, which reports the validation mIoU at each rung."""

from __future__ import annotations

import copy
import logging
import os
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nas.models import Network, build_network, fused
from nas.space import PretrainThenFinetune, Recipe
from nas.training.batch import VOID, Batch, Logs
from nas.training.compute import autocast, depthwise_in_float32, memory_layout
from nas.training.ema import decay_with_warmup, ema_update
from nas.training.evaluate import confusion
from nas.training.feature_cache import FeatureCache
from nas.training.features import CachedViews, training_inputs
from nas.training.images import Epochs, Images
from nas.training.memory import peak_megabytes, reset_peak
from nas.training.metrics import Confusion, Scores
from nas.training.optimizers import clip_gradients, set_rates
from nas.training.pretext import add_heads, pretext_backward
from nas.training.protocols import Data, Optimizer, Split
from nas.training.state import TrainingState

__all__ = ["Plan", "Trained", "Training", "TrainingError", "class_pixels", "train"]

log = logging.getLogger(__name__)

LOSS_CHECK_EVERY = 10

Report = Callable[[int, float], bool]
"""report(step, validation mIoU) -> whether to go on."""


class TrainingError(RuntimeError):
    """A training cannot continue. The message says why and at which step."""


@dataclass(frozen=True)
class Plan:
    """Length, rungs, seed and device of a training.

    Attributes:
        steps: number of optimizer steps that the learning-rate schedule spans.
        rungs: steps after which the validation mIoU is reported; the last is `steps`. Rungs before the segmentation
            training begins are skipped.
        seed: seed of initialization, sampling, augmentation and all tasks.
        device: "cpu" or "cuda".
        stop: last step, if the training ends before its schedule; None for `steps`.
    """

    steps: int
    rungs: tuple[int, ...]
    seed: int = 0
    device: str = "cpu"
    stop: int | None = None

    @property
    def end(self) -> int:
        """Number of steps that are trained."""
        return self.steps if self.stop is None else self.stop


@dataclass
class Trained:
    """A trained network with its scores at the last rung, time and memory.

    Attributes:
        network: the network to evaluate.
        scores: scores at the last rung.
        steps: steps that were trained.
        seconds: seconds of training and evaluation.
        step_seconds: mean seconds per training step.
        peak_mb: peak memory in MB.
        logs: numbers logged in the last step, by name.
        cached: whether the features of the encoder came from a cache.
    """

    network: Network
    scores: Scores
    steps: int
    seconds: float
    step_seconds: float
    peak_mb: float
    logs: dict[str, float] = field(default_factory=dict)
    cached: bool = False


def train(
    candidate: Recipe,
    data: Data,
    plan: Plan,
    report: Report = lambda step, miou: True,
    paused: Path | None = None,
    heartbeat: Callable[[], None] = lambda: None,
    cache: FeatureCache | None = None,
) -> Trained:
    """Train a closed recipe on few labelled and many unlabelled images.

    Args:
        candidate: the closed recipe.
        data: the data set.
        plan: length, rungs, seed and device.
        report: called with step and validation mIoU at each rung; returns whether to continue.
        paused: file for the state of a training that `report` stops; None to save nothing. If the file exists, the
            training resumes from it. On the same kind of device, the result is that of an uninterrupted training.
        heartbeat: called after every step, and after every batch of an evaluation.
        cache: cache of features for a candidate that uses one; None to keep them in memory for this training.

    Raises:
        TrainingError: a loss is not finite.
        torch.OutOfMemoryError: the device has too little memory.
    """
    reset_peak(torch.device(plan.device))
    return Training(candidate, data, plan, paused, cache).run(report, heartbeat)


class Training:
    """A training in progress."""

    def __init__(
        self,
        candidate: Recipe,
        data: Data,
        plan: Plan,
        paused: Path | None = None,
        cache: FeatureCache | None = None,
    ) -> None:
        # Drop tasks with weight 0, as `Recipe.canonical` does.
        candidate = replace(candidate, pretext=tuple(task for task in candidate.pretext if task.weight > 0))
        self.candidate, self.plan, self.paused = candidate, plan, paused
        self.device = torch.device(plan.device)
        make_deterministic(self.device, plan.seed)
        self.classes = len(data.classes)
        self.generator = torch.Generator().manual_seed(plan.seed)
        labelled, validation = Images(data.labelled, self.device), Images(data.validation, self.device)
        self.unlabelled = Images(data.unlabelled, self.device)
        self.shifted = data.shifted
        self.network = build_network(candidate, self.classes)
        self.network.encoder.load_weights()
        add_heads(self.network, candidate.pretext)
        self.layout = memory_layout(self.network, self.device)
        self.network.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
        if self.device.type == "cpu":
            depthwise_in_float32(self.network)
        self.views, self.validation = training_inputs(
            candidate, self.network, labelled, validation, self.layout, cache or FeatureCache()
        )
        self.own = candidate.method.build(self.network, self.classes)
        if self.own is not None:
            self.own.to(self.device)
        self.average = copy.deepcopy(self.network) if candidate.ema and not candidate.method.averages else None
        available = len(self.unlabelled) if candidate.unlabelled_batch else 0
        advice = candidate.method.advice(len(labelled), available)
        if advice:
            log.warning(advice)
        self.criterion = candidate.loss.build(class_pixels(data.labelled, self.classes)).to(self.device)
        self.optimizer = candidate.optimizer.build(nn.ModuleList(m for m in (self.network, self.own) if m is not None))
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.logs: Logs = {}
        self.step = self.first_step = 0
        self.training_seconds = self.evaluation_seconds = 0.0
        self.confusion: Confusion | None = None
        self.epochs = Epochs(len(labelled), candidate.labelled_batch, self.generator)
        # Number of steps at the start that train only the pretext tasks.
        self.pretrain = 0
        if candidate.pretext and isinstance(candidate.curriculum, PretrainThenFinetune):
            self.pretrain = round(candidate.curriculum.fraction * plan.steps)
        wanted = candidate.unlabelled_batch if self._uses_unlabelled() else 0
        self.unlabelled_epochs = Epochs(len(self.unlabelled), wanted, self.generator)

    def run(self, report: Report, heartbeat: Callable[[], None]) -> Trained:
        for counted in self.rungs(heartbeat):
            if not report(self.step, counted.scores().miou):
                self.pause()
                break
        return self.trained()

    def rungs(self, heartbeat: Callable[[], None]) -> Generator[Confusion, None, None]:
        """Train to each rung and yield its validation confusion matrix."""
        batches = self._batches()
        if self.paused and self.paused.exists():
            self.step = self.first_step = self._state().read(self.paused)
        self.network.train()
        while self.step < self.plan.end:
            started = time.perf_counter()
            self._step(next(batches), self.step)
            self.step += 1
            heartbeat()
            self.training_seconds += time.perf_counter() - started
            _, segmentation = self._phases(self.step - 1)
            if self.step == self.plan.end or (self.step in self.plan.rungs and segmentation):
                started = time.perf_counter()
                check_finite(self.logs, self.step, self.candidate.optimizer)
                self.confusion = confusion(self._predictor(), self.validation, self.classes, self.device, heartbeat)
                self.evaluation_seconds += time.perf_counter() - started
                yield self.confusion

    def pause(self) -> None:
        """Save the state of a training that was stopped before its end, if `paused` is set."""
        if self.paused and self.step < self.plan.end:
            self._state().write(self.paused, self.step)

    def trained(self) -> Trained:
        """Return the result at the last rung.

        Raises:
            TrainingError: no rung was reached.
        """
        if self.confusion is None:
            raise TrainingError("a training needs at least one step")
        return Trained(
            network=self._predictor(),
            scores=self.confusion.scores(),
            steps=self.step,
            seconds=self.training_seconds + self.evaluation_seconds,
            step_seconds=self.training_seconds / (self.step - self.first_step),
            peak_mb=peak_megabytes(self.device),
            logs={name: float(value) for name, value in self.logs.items()},
            cached=isinstance(self.views, CachedViews),
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
            batch = self.views.draw(next(self.epochs), rng)
            others = None
            if self.unlabelled_epochs.batch:
                others, _ = candidate.augment.view(self.unlabelled.images(next(self.unlabelled_epochs)), None, rng)
                others = others.contiguous(memory_format=self.layout)
            yield replace(batch, unlabelled=others, criterion=self.criterion, shifted=self.shifted)

    def _uses_unlabelled(self) -> bool:
        wanted = bool(self.candidate.pretext) or self.candidate.method.needs_unlabelled
        return wanted and len(self.unlabelled) > 0 and self.candidate.unlabelled_batch > 0

    def _step(self, batch: Batch, step: int) -> None:
        """Take an optimizer step. Each loss runs backward at once, so that memory holds one graph at a time."""
        factor = self.candidate.schedule.factor(step, self.plan.steps)
        set_rates(self.optimizer, self.base_rates, factor)
        self.optimizer.zero_grad(set_to_none=True)
        pretext, segmentation = self._phases(step)
        if segmentation:
            self._segmentation(batch, step)
        if pretext:
            self._pretext(batch)
        if (step + 1) % LOSS_CHECK_EVERY == 0:
            check_finite(self.logs, step + 1, self.candidate.optimizer)
        clip_gradients(self.optimizer, self.candidate.clip)
        self.optimizer.step()
        if segmentation:
            self.candidate.method.update(self.own, self.network, batch, step)
        if self.average is not None and self.candidate.ema:
            ema_update(self.average, self.network, decay_with_warmup(self.candidate.ema, step))

    def _phases(self, step: int) -> tuple[bool, bool]:
        """Whether a step trains the pretext tasks, and whether it trains segmentation."""
        if self.pretrain:
            return step < self.pretrain, step >= self.pretrain
        return bool(self.candidate.pretext), True

    def _segmentation(self, batch: Batch, step: int) -> None:
        # Warm-up and ramp-up of a method start with segmentation, not with pretraining.
        progress = (step - self.pretrain) / (self.plan.steps - self.pretrain)
        with autocast(self.device):
            scores = batch.scores(self.network)
            logits = fused(scores)
            supervised = self.criterion(logits, batch.masks)
            if len(scores) > 1:
                # As in the training that the authors of DeepLabv2 released: without it, a scale learns only where its
                # logit is the largest.
                supervised = supervised + sum(self.criterion(score, batch.masks) for score in scores)
            added, logged = self.candidate.method.loss(self.own, self.network, batch, logits, progress)
        total = supervised + added
        total.backward()
        self.logs |= {"loss.segmentation": supervised.detach(), "loss": total.detach(), **logged}

    def _pretext(self, batch: Batch) -> None:
        """Train the pretext tasks on a random sample of the images, split among the tasks.

        The sample is as large as the labelled batch, so that the cost is one more pass for any number of tasks.
        """
        images = batch.images if batch.unlabelled is None else torch.cat([batch.images, batch.unlabelled])
        clean = self.candidate.pretext_statistics == "clean"
        self.logs |= pretext_backward(
            self.network, self.candidate.pretext, images, len(batch.images), batch.generator, clean
        )


def check_finite(logs: Logs, step: int, optimizer: Optimizer) -> None:
    """Raise TrainingError if a logged loss is not finite."""
    for name, value in logs.items():
        if name.startswith("loss") and not np.isfinite(float(value)):
            raise TrainingError(
                f"{name} is {float(value)} at step {step} ({type(optimizer).__name__}, lr {optimizer.lr:g}): "
                "a lower learning rate or gradient clipping may help"
            )


def class_pixels(split: Split, classes: int) -> list[int]:
    """Count the labelled pixels of each class."""
    assert split.masks is not None
    # Mask by mask, because counting takes eight bytes per pixel.
    counts = sum((np.bincount(mask.ravel(), minlength=VOID + 1) for mask in split.masks), np.zeros(VOID + 1, np.int64))
    return [int(n) for n in counts[:classes]]


def make_deterministic(device: torch.device, seed: int) -> None:
    """Seed torch, and make computations on a device repeatable."""
    torch.manual_seed(seed)
    if device.type == "cuda":
        # cuBLAS needs this for deterministic results, and reads it when its first handle is created.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # No tensor is read before it is written. Torch also warns of operations that are deterministic as used here.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", "[^ ]* does not have a deterministic implementation")
        torch.backends.cudnn.benchmark = False
