"""Cross-validation: train a recipe on every fold, rung by rung, and score all held-out images together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import reduce
from operator import add
from pathlib import Path

import torch

from nas.space import Recipe
from nas.training.feature_cache import FeatureCache
from nas.training.memory import peak_megabytes, reset_peak
from nas.training.metrics import Confusion
from nas.training.protocols import Data
from nas.training.trainer import Plan, Report, Trained, Training

__all__ = ["pooled_miou", "train_fold", "train_folds"]


def train_folds(
    candidate: Recipe,
    folds: Sequence[Data],
    plan: Plan,
    report: Report = lambda step, miou: True,
    paused: Path | None = None,
    heartbeat: Callable[[], None] = lambda: None,
    cache: FeatureCache | None = None,
) -> Trained:
    """Train a closed recipe on every fold and score it by one confusion matrix over their validation images.

    All folds train up to a rung before any continues, so that `report` can stop them together. The pooled confusion
    matrix counts every labelled image once. A mean of scores per fold would be noisy, and biased for rare classes
    (Forman and Scholz 2010).

    Args:
        candidate: the closed recipe.
        folds: the data, with different images held out for validation in each.
        plan: as for `train`.
        report: as for `train`, with the pooled mIoU.
        paused: as for `train`; the states of further folds are stored beside it.
        heartbeat, cache: as for `train`.

    Returns:
        The network of the first fold, pooled scores, and the seconds of all folds.
    """
    device = torch.device(plan.device)
    reset_peak(device)
    trainings = [Training(candidate, data, plan, _state_path(paused, i), cache) for i, data in enumerate(folds)]
    pooled: Confusion | None = None
    with ExitStack() as stack:
        rungs = [stack.enter_context(closing(training.rungs(heartbeat))) for training in trainings]
        for counted in zip(*rungs, strict=True):
            pooled = reduce(add, counted)
            if not report(trainings[0].step, pooled.scores().miou):
                for training in trainings:
                    training.pause()
                break
    ended = [training.trained() for training in trainings]
    assert pooled is not None
    return Trained(
        network=ended[0].network,
        scores=pooled.scores(),
        steps=ended[0].steps,
        seconds=math.fsum(trained.seconds for trained in ended),
        step_seconds=statistics.fmean(trained.step_seconds for trained in ended),
        peak_mb=peak_megabytes(device),
        logs={name: statistics.fmean(t.logs[name] for t in ended) for name in ended[0].logs},
        cached=all(trained.cached for trained in ended),
    )


def train_fold(
    candidate: Recipe,
    data: Data,
    plan: Plan,
    report: Report,
    heartbeat: Callable[[], None],
    cache: FeatureCache | None = None,
) -> tuple[Trained, dict[int, list[int]]]:
    """Train a closed recipe on one fold. Also return the confusion counts by rung, for `pooled_miou`."""
    reset_peak(torch.device(plan.device))
    training = Training(candidate, data, plan, cache=cache)
    counts: dict[int, list[int]] = {}
    for counted in training.rungs(heartbeat):
        counts[training.step] = counted.counts.tolist()
        report(training.step, counted.scores().miou)
    return training.trained(), counts


def pooled_miou(counts: Sequence[Sequence[int]]) -> float:
    """Compute the mIoU of the summed confusion counts of several folds, each K * K numbers."""
    pooled = Confusion(math.isqrt(len(counts[0])))
    for each in counts:
        pooled.counts += torch.tensor(each)
    return pooled.scores().miou


def _state_path(paused: Path | None, fold: int) -> Path | None:
    # The first fold keeps the name, because callers test whether this file exists.
    return paused and (paused.with_name(f"{paused.name}.{fold}") if fold else paused)
