"""The work of a worker process: decode a candidate, train it, and return plain numbers."""

from __future__ import annotations

import copy
import logging
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nas.components import COMPONENTS, know_components
from nas.errors import UserError
from nas.pool import Report

if TYPE_CHECKING:
    from nas.training.feature_cache import FeatureCache

__all__ = ["DataHandle", "FinalTest", "Probe", "Task", "TrainWork"]

PROBE_STEPS, PROBE_WARMUP = 24, 8
"""Steps of a probe, and the warm-up steps among them, which are not timed."""

PROBE_SECONDS = 5.0
"""Seconds after which a probe ends early."""

STEP_TO_PREDICTION = 3.0
"""Duration of a training step relative to a prediction for as many images."""


class _ProbeEnded(Exception):  # noqa: N818 (it is no error)
    """Ends the training of a probe."""


class DataHandle(Protocol):
    """A small picklable object that opens the shared data in another process."""

    def open(self) -> Any: ...


@dataclass(frozen=True)
class Task:
    """One training.

    Attributes:
        candidate: JSON of a closed recipe.
        steps, rungs, seed: the training plan.
        save: path of the checkpoint to write after a full training, or None.
        provenance: what the checkpoint says of the run.
        timed: device to measure the network's latency on, "training" for the one that trains; or None.
        paused: path of the training's state, written when it is stopped and resumed from if it exists; or None.
        folds: folds of the labelled images to train and score on, 0 for the data's own validation split.
        fold: the only fold to train, whose confusion counts at each rung are returned; None for all folds.
        stop: step after which the training ends although its schedule spans `steps`; None for `steps`.
        metrics: metrics of the checkpoint in place of its validation score, which means nothing where the validation
            images are trained on.
        save_stopped: whether to write the checkpoint also when the training is stopped early.
    """

    candidate: str
    steps: int
    rungs: tuple[int, ...]
    seed: int
    save: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    timed: str | None = None
    paused: str | None = None
    folds: int = 0
    fold: int | None = None
    stop: int | None = None
    metrics: dict[str, Any] | None = None
    save_stopped: bool = False


@dataclass(frozen=True)
class Probe:
    """A few training steps of a candidate, to measure its pace."""

    candidate: str
    seed: int
    folds: int = 0


@dataclass(frozen=True)
class FinalTest:
    """Score a checkpoint on the test split, and write it with that score. A run does so once, at its end."""

    checkpoint: str
    out: str


@dataclass
class TrainWork:
    """Runs tasks in a worker process.

    Attributes:
        data: handle of the data set.
        space_file: the space file, which may define components.
        components: modules that are imported first, so that recipes can be decoded.
        features: folder in which all workers cache features of frozen encoders; None to keep them in memory.
    """

    data: DataHandle
    space_file: str | None = None
    components: tuple[str, ...] = COMPONENTS
    features: str | None = None

    def setup(self, device: str) -> None:
        """Prepare a worker process; called once."""
        from nas.space import load_space

        know_components(self.components)
        if self.space_file:
            # The file may define components.
            load_space(self.space_file)
        self._device = device
        _check_device(device)
        self._data = self.data.open()

    def run(self, task: Task | Probe | FinalTest, report: Report) -> dict[str, Any]:
        """Run a task, and return plain data."""
        if isinstance(task, FinalTest):
            return self._test(task, report)
        return self._probe(task, report) if isinstance(task, Probe) else self._train(task, report)

    def _train(self, task: Task, report: Report) -> dict[str, Any]:
        import torch

        from nas.export import save_checkpoint
        from nas.space import from_json
        from nas.training import Plan, latency_ms, train, train_fold, train_folds
        from nas.training.compute import memory_layout

        candidate = from_json(task.candidate)
        cache = self._cache(report)
        plan = Plan(task.steps, task.rungs, task.seed, self._device, task.stop)
        with _warnings() as warnings:
            paused = Path(task.paused) if task.paused else None
            counts: dict[int, list[int]] = {}
            if task.fold is not None:
                view = self._data.fold(task.fold, task.folds, task.seed)
                trained, counts = train_fold(candidate, view, plan, report, report.heartbeat, cache)
            elif task.folds:
                views = [self._data.fold(i, task.folds, task.seed) for i in range(task.folds)]
                trained = train_folds(candidate, views, plan, report, paused, report.heartbeat, cache)
            else:
                trained = train(candidate, self._data, plan, report, paused, report.heartbeat, cache)
        latency = None
        if task.timed:
            device = torch.device(self._device if task.timed == "training" else task.timed)
            network = copy.deepcopy(trained.network)
            # The faster memory layout depends on the device.
            network.to(device, memory_format=memory_layout(network, device))  # type: ignore[call-overload]
            latency = latency_ms(network, self._data.size, device)
        if task.save and (trained.steps == plan.end or task.save_stopped):
            scored = task.metrics if task.metrics is not None else {"validation_miou": trained.scores.miou}
            metrics = {**scored, "steps": trained.steps, "seconds": trained.seconds}
            provenance = {**task.provenance, "seed": task.seed}
            save_checkpoint(Path(task.save), trained.network, candidate, self._data, metrics, provenance)
        return {
            "miou": trained.scores.miou,
            "confusions": counts,
            "steps": trained.steps,
            "seconds": trained.seconds,
            "step_seconds": trained.step_seconds,
            "peak_mb": trained.peak_mb,
            "latency_ms": latency,
            "logs": trained.logs,
            "cached": trained.cached,
            "warnings": warnings,
        }

    def _probe(self, task: Probe, report: Report) -> dict[str, Any]:
        import torch

        from nas.space import from_json
        from nas.training import Plan, train
        from nas.training.memory import peak_megabytes

        data = self._data.fold(0, task.folds, task.seed) if task.folds else self._data
        # The first interval includes the setup, such as filling a cache of features.
        moments = [time.perf_counter()]

        def note() -> None:
            moments.append(time.perf_counter())
            report.heartbeat()
            steps = min(len(moments) - 1, PROBE_STEPS)
            if steps > PROBE_WARMUP and moments[-1] - moments[1] > PROBE_SECONDS:
                raise _ProbeEnded

        candidate = from_json(task.candidate)
        peak = 0.0
        with _warnings(), suppress(_ProbeEnded):
            plan = Plan(PROBE_STEPS, (), task.seed, self._device)
            peak = train(candidate, data, plan, heartbeat=note, cache=self._cache(report)).peak_mb
        steps = [after - before for before, after in pairwise(moments[: PROBE_STEPS + 1])]
        step = statistics.median(steps[PROBE_WARMUP:])
        images = len(data.validation.images)
        validation = step / STEP_TO_PREDICTION * images / candidate.labelled_batch
        if peak:  # the training reached its end, so its validation was timed
            validation = moments[-1] - moments[PROBE_STEPS]
        return {"step": step, "validation": validation, "peak_mb": peak or peak_megabytes(torch.device(self._device))}

    def _cache(self, report: Report) -> FeatureCache:
        from nas.training.feature_cache import FeatureCache

        return FeatureCache(Path(self.features) if self.features else None, report.heartbeat)

    def _test(self, task: FinalTest, report: Report) -> dict[str, Any]:
        import torch

        from nas.export import load_checkpoint, save_checkpoint
        from nas.training import evaluate

        found = load_checkpoint(Path(task.checkpoint))
        device = torch.device(self._device)
        network = found.network.to(device)
        scores = evaluate(network, self._data.test, len(self._data.classes), device, report.heartbeat)
        metrics = {**found.metrics, "test_miou": scores.miou, "test_iou": list(scores.iou)}
        save_checkpoint(Path(task.out), network, found.candidate, self._data, metrics, found.provenance)
        return {"miou": scores.miou}


def _check_device(device: str) -> None:
    """Train one step, so that a broken device fails here and not with every candidate.

    It also loads what torch loads at its first step, which then does not count as memory of the first candidate.

    Raises:
        UserError: this build of torch does not support GPUs.
        Exception: any other error of torch.
    """
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        raise UserError(
            f"this torch ({torch.__version__}) cannot use the GPU: install a build that can, or train on the CPU by "
            'hiding the GPU: export CUDA_VISIBLE_DEVICES=""'
        )
    # On a GPU that is too old for this build of torch, kernels simpler than a convolution may still run.
    layer = torch.nn.Conv2d(3, 4, 3).to(device)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 3, 8, 8, device=device)).sum().backward()
    optimizer.step()
    layer.weight.sum().item()


@contextmanager
def _warnings() -> Iterator[dict[str, str]]:
    """Context manager that collects warnings by their templates; the controller shows them."""
    found: dict[str, str] = {}

    def keep(record: logging.LogRecord) -> bool:
        found[str(record.msg)] = record.getMessage()
        return False

    handler = logging.Handler(logging.WARNING)
    handler.addFilter(keep)
    loggers = [logging.getLogger(room) for room in ("nas",)]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield found
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
