"""The final training: the best contenders are trained for longer, and the best of them is exported.

Trainings of the search are long enough to compare candidates, but not to get the best out of the winner. With folds,
the winner is trained once more on all labelled images, for the number of steps that was best on the folds.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd

from nas.controller.contenders import Contender
from nas.controller.progress import Progress
from nas.controller.timing import FINISHING, Clock
from nas.controller.work import FinalTest, Task
from nas.errors import UserError
from nas.pool import Done, Ended, Failed, Infeasible, Job, Lost, Pool, Rung
from nas.runs.settings import Settings
from nas.wording import counted, duration

__all__ = [
    "AT_FULL_SIZE",
    "Exported",
    "FinalTraining",
    "final_steps",
    "finalists",
    "score_on_test",
    "with_final",
]

log = logging.getLogger("nas")

FINALISTS = 3
"""Maximum number of contenders in the final training."""

DEFAULT_FACTOR, MIN_FACTOR, MAX_FACTOR = 3, 1.3, 10
"""Steps of the final training, as a multiple of the search's: by default, and the limits where time is limited."""

MARGIN = 1.25
"""Factor between the expected duration of a training and the time that it must fit into."""

FINAL = "final"
"""Study attribute: validation mIoU of each finalist, by hash and step."""

ON_ALL = "trained on all labels"
"""Study attribute: hash, steps of the schedule and last step of the training on all labelled images."""

AT_FULL_SIZE = "trained at full size"
"""Study attribute: by hash, the size and steps of the training at full size, and its validation mIoU or None."""


@dataclass(frozen=True)
class Exported:
    """The network to export.

    Attributes:
        digest: hash of the candidate.
        checkpoint: its weights.
        steps: steps that they were trained for.
        miou: validation mIoU after these steps; None where there is none, after a training on all labelled images at
            another size.
    """

    digest: str
    checkpoint: Path
    steps: int
    miou: float | None


def final_steps(settings: Settings) -> int:
    """Steps of the final training, 0 for none."""
    return DEFAULT_FACTOR * settings.full_steps if settings.final_steps is None else settings.final_steps


def finalists(table: pd.DataFrame) -> list[str]:
    """Hashes of the contenders to train for longer: the winner, the first, the best baseline, and ties with the first.

    Args:
        table: the table of `nas.controller.ranking.rank`.
    """
    done = table[table["miou"].notna()]
    wanted = [
        *done.loc[done["winner"], "hash"],
        *done["hash"].iloc[:1],
        *done.loc[done["baseline"], "hash"].iloc[:1],
        *done.loc[done["tie"], "hash"],
    ]
    return list(dict.fromkeys(wanted))[:FINALISTS]


@dataclass
class FinalTraining:
    """Trains the finalists and chooses the checkpoint to export.

    Attributes:
        folds: folds that candidates are compared on, 0 for one validation split.
        checkpoint: path of the weights of a candidate in the ranking, by hash and seed.
        final_checkpoint: path of the weights of its final training, by hash.
        provenance: what a checkpoint says of the run.
        clock: clock of this session.
    """

    study: optuna.Study
    pool: Pool
    settings: Settings
    folds: int
    entrants: list[Contender]
    table: pd.DataFrame
    checkpoint: Callable[[str, int], Path]
    final_checkpoint: Callable[[str], Path]
    provenance: dict[str, Any]
    clock: Clock

    def __post_init__(self) -> None:
        # A seed that the ranking has not used.
        self.seed = self.settings.seed + self.settings.repeats
        self.candidates = {contender.digest: contender.candidate for contender in self.entrants}

    def run(self) -> Exported:
        """Run the final training, and return the network to export.

        Raises:
            UserError: the training of the winner on all labelled images failed.
        """
        winner = self.table[self.table["winner"]].iloc[0]
        digest, steps, stop, miou = winner["hash"], self.settings.full_steps, self.settings.full_steps, winner["miou"]
        curves = self._curves()
        for finalist, curve in curves.items():
            # With folds the network is trained again, and may end at any rung. Else weights exist for the end only.
            for step in curve if self.folds else [max(curve)]:
                if curve[step] > miou:
                    digest, steps, stop, miou = finalist, max(curve), step, curve[step]
        if self.folds:
            return self._train_on_all_labels(digest, steps, stop, miou)
        if steps > self.settings.full_steps:
            return Exported(digest, self.final_checkpoint(digest), steps, miou)
        scores = winner["values"]
        # Without a validation split there is no score to choose by.
        seed = max(scores, key=lambda s: scores[s]) if self.settings.holdout else min(scores, key=int)
        return Exported(digest, self.checkpoint(digest, int(seed)), steps, miou)

    def _curves(self) -> dict[str, dict[int, float]]:
        """Validation mIoU by step of each finalist that was trained for longer."""
        steps = final_steps(self.settings)
        if not steps or not self.settings.holdout:
            return {}
        kept: dict[str, dict[str, float]] = self.study.user_attrs.get(FINAL, {})
        wanted = finalists(self.table)
        if self.settings.final_steps is None and self.clock.limit is not None:
            steps = MAX_FACTOR * self.settings.full_steps
        steps = self._fit_time_limit(wanted, steps)
        if not steps:
            log.info("No time is left to train the best contenders for longer.")
            return {}
        missing = [d for d in wanted if _length(kept.get(d, {})) < steps or self._lacks_weights(d)]
        if missing:
            who, taken = counted(len(missing), "contender"), duration(self._seconds(missing, steps))
            log.info("Final training: %s for %d steps each, about %s.", who, steps, taken)
            self._train(missing, steps, kept)
        return {d: {int(s): v for s, v in kept[d].items()} for d in wanted if _length(kept.get(d, {})) >= steps}

    def _fit_time_limit(self, digests: list[str], steps: int) -> int:
        """Reduce steps to the remaining time; return 0 where little more than the search's own steps remain."""
        expected = self._seconds(digests, steps) + self._seconds_on_all_labels(digests, steps)
        share = (self.clock.remaining() - FINISHING) / (MARGIN * expected)
        fitting = steps if share >= 1 else int(max(share, 0.0) * steps)
        return fitting if fitting >= MIN_FACTOR * self.settings.full_steps else 0

    def _lacks_weights(self, digest: str) -> bool:
        return not self.folds and not self.final_checkpoint(digest).exists()

    def _seconds(self, digests: list[str], steps: int) -> float:
        """Expected seconds of training these candidates for so many steps, on all workers."""
        in_search = self.table.set_index("hash")["seconds"]
        each = [float(np.nan_to_num(in_search[d])) * steps / self.settings.full_steps for d in digests]
        # The folds of a candidate are trained in parallel.
        return max(sum(each) / self.pool.slots, max(each, default=0.0) / max(self.folds, 1))

    def _seconds_on_all_labels(self, digests: list[str], steps: int) -> float:
        """Maximum expected seconds of the training on all labelled images, which follows with folds only."""
        return max(self._seconds([digest], steps) / self.folds for digest in digests) if self.folds else 0.0

    def _train(self, digests: list[str], steps: int, kept: dict[str, dict[str, float]]) -> None:
        """Train candidates for longer, each fold as a job of its own; store their scores in `kept` and the study."""
        parts = [(digest, fold) for digest in digests for fold in (range(self.folds) if self.folds else [None])]
        for number, (digest, fold) in enumerate(parts):
            save = None if self.folds else str(self.final_checkpoint(digest))
            task = Task(self.candidates[digest], steps, self._rungs(steps), self.seed, save, self.provenance)
            self.pool.submit(Job(number, replace(task, folds=self.folds, fold=fold)))
        after = self._seconds_on_all_labels(digests, steps) + FINISHING
        progress = Progress(len(parts), "Final training", self._seconds(digests, steps), after, self.clock.remaining)
        reached = dict.fromkeys(range(len(parts)), 0)
        curves: dict[int, dict[str, float]] = {number: {} for number in reached}
        ended: dict[int, Ended] = {}
        try:
            while len(ended) < len(parts):
                for message in self.pool.messages(timeout=0.5):
                    number = message.job.id
                    if isinstance(message, Rung):
                        curves[number][str(message.step)], reached[number] = message.value, message.step
                        self.pool.answer(number, True)
                    elif isinstance(message, Ended):
                        ended[number] = message
                        progress.note("trained" if isinstance(message, Done) else "failed", None)
                        self._store(parts, ended, curves, steps, kept)
                running = [number for number in reached if number not in ended]
                underway = sum(reached[number] for number in running) / steps
                progress.show(len(ended), min(len(running), self.pool.slots), underway=underway)
        finally:
            progress.close()

    def _store(
        self,
        parts: list[tuple[str, int | None]],
        ended: dict[int, Ended],
        curves: dict[int, dict[str, float]],
        steps: int,
        kept: dict[str, dict[str, float]],
    ) -> None:
        """Store the scores of candidates of which every fold has been trained."""
        for digest in dict(parts):
            numbers = [number for number, (of, _) in enumerate(parts) if of == digest]
            done = [message for number in numbers if isinstance(message := ended.get(number), Done)]
            if str(steps) in kept.get(digest, {}) or len(done) < len(numbers):
                continue
            if self.folds:
                kept[digest] = _pooled([message.result["confusions"] for message in done])
            else:
                kept[digest] = {**curves[numbers[0]], str(steps): done[0].result["miou"]}
            self.study.set_user_attr(FINAL, kept)

    def _rungs(self, steps: int) -> tuple[int, ...]:
        """Steps at which a longer training is scored."""
        return tuple(sorted({max(round(share * steps), 1) for share in (0.2, 0.4, 0.6, 0.8, 1.0)}))

    def _train_on_all_labels(self, digest: str, steps: int, stop: int, miou: float) -> Exported:
        """Train a candidate on all labelled images, unless an earlier session did."""
        target = self.final_checkpoint(digest)
        plan = [digest, steps, stop]
        if self.study.user_attrs.get(ON_ALL) == plan and target.exists():
            return Exported(digest, target, stop, miou)
        metrics = {"validation_miou": miou}
        provenance = {**self.provenance, "scored on": f"{self.folds} folds of the labelled images"}
        log.info("The winner is trained on all labelled images, %d steps.", stop)
        task = Task(self.candidates[digest], steps, (), self.seed, str(target), provenance, stop=stop, metrics=metrics)
        self.pool.submit(Job(0, task))
        while True:
            for message in self.pool.messages(timeout=0.5):
                if isinstance(message, Rung):
                    self.pool.answer(0, True)
                elif isinstance(message, Done):
                    self.study.set_user_attr(ON_ALL, plan)
                    return Exported(digest, target, stop, miou)
                elif isinstance(message, Failed | Infeasible | Lost):
                    raise UserError(f"the winner could not be trained on all labelled images: {message.reason}")


def score_on_test(pool: Pool, checkpoint: Path, out: Path) -> float:
    """Score a checkpoint on the test split, write it to `out` with that score, and return the mIoU.

    Raises:
        UserError: the checkpoint cannot be scored.
    """
    pool.submit(Job(0, FinalTest(str(checkpoint), str(out))))
    while True:
        for message in pool.messages(timeout=1.0):
            if isinstance(message, Done):
                return float(message.result["miou"])
            if isinstance(message, Failed | Infeasible | Lost):
                raise UserError(f"the winner could not be tested: {message.reason}")


def with_final(table: pd.DataFrame, study: optuna.Study, exported: Exported, steps: int) -> pd.DataFrame:
    """Add the scores and steps of the final training to the table, and mark the exported candidate as the winner.

    Args:
        steps: steps of a training in the search.
    """
    curves: dict[str, dict[str, float]] = study.user_attrs.get(FINAL, {})
    last = {digest: max((int(step), miou) for step, miou in curve.items()) for digest, curve in curves.items()}
    for digest, trained in study.user_attrs.get(AT_FULL_SIZE, {}).items():
        last[digest] = trained["steps"], math.nan if trained["miou"] is None else trained["miou"]
    if exported.steps != steps:
        last[exported.digest] = exported.steps, math.nan if exported.miou is None else exported.miou
    return table.assign(
        winner=table["hash"] == exported.digest,
        final_miou=[last[d][1] if d in last else math.nan for d in table["hash"]],
        final_steps=[last[d][0] if d in last else math.nan for d in table["hash"]],
    )


def _length(curve: dict[str, float]) -> int:
    """Last step of a curve, 0 for an empty one."""
    return max(map(int, curve), default=0)


def _pooled(folds: list[dict[int, list[int]]]) -> dict[str, float]:
    """mIoU by step, from the confusion counts of all folds together."""
    from nas.training import pooled_miou

    return {str(step): pooled_miou([counts[step] for counts in folds]) for step in folds[0]}
