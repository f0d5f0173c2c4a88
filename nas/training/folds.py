"""Cross-validation: one recipe trained on every fold, rung by rung, and scored on all held-out images together."""

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
    alive: Callable[[], None] = lambda: None,
) -> Trained:
    """Train a closed recipe on every fold and score it by one confusion matrix over their validation images.

    The folds reach each rung together, so that `report` can stop all of them. A few validation images a fold make a
    noisy score each; their common matrix counts every labelled image once (Forman and Scholz 2010 show why the mean
    of the folds' own scores is biased where classes are rare).

    Args:
        folds: the same data, each with other images held out for validation.
        report, paused, alive: as for `train`; the state of each fold is kept beside `paused`.

    Returns:
        The network of the first fold, the common scores, the seconds of all folds together.
    """
    device = torch.device(plan.device)
    reset_peak(device)
    trainings = [Training(candidate, data, plan, _kept(paused, i)) for i, data in enumerate(folds)]
    pooled: Confusion | None = None
    with ExitStack() as stack:
        reached = [stack.enter_context(closing(training.rungs(alive))) for training in trainings]
        for counted in zip(*reached, strict=True):
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
    )


def train_fold(
    candidate: Recipe, data: Data, plan: Plan, report: Report, alive: Callable[[], None]
) -> tuple[Trained, dict[int, list[int]]]:
    """Train a closed recipe on one fold; return also the confusion counts of each rung, for `pooled_miou`."""
    reset_peak(torch.device(plan.device))
    training = Training(candidate, data, plan)
    counts: dict[int, list[int]] = {}
    for counted in training.rungs(alive):
        counts[training.step] = counted.counts.tolist()
        report(training.step, counted.scores().miou)
    return training.trained(), counts


def pooled_miou(counts: Sequence[Sequence[int]]) -> float:
    """The mIoU of the confusion counts of several folds together, each K x K in one row."""
    pooled = Confusion(math.isqrt(len(counts[0])))
    for each in counts:
        pooled.counts += torch.tensor(each)
    return pooled.scores().miou


def _kept(paused: Path | None, fold: int) -> Path | None:
    # The first fold's has the name that is looked for.
    return paused and (paused.with_name(f"{paused.name}.{fold}") if fold else paused)
