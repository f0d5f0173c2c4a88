"""The final training: the best contenders are trained for longer, and the best of them is exported.

The length of a search's trainings decides who wins, not what people take home. Where candidates were compared on
folds, the winner is trained once more on all labelled images, for the steps that served it best on the folds.
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
from nas.controller.timing import LAST, Clock
from nas.controller.work import FinalTest, Task
from nas.errors import UserError
from nas.pool import Done, Ended, Failed, Infeasible, Job, Lost, Pool, Rung
from nas.runs.settings import Settings
from nas.wording import counted, duration

__all__ = ["FINALISTS", "FinalTraining", "Outcome", "finalists", "longer", "score_on_test", "with_final"]

log = logging.getLogger("nas")

FINALISTS = 3
"""Contenders that are trained for longer."""

LONGER, LONGEST = 3, 10
"""How many times the search's steps they are trained for unless told, and at most where a limited time allows more."""

MARGIN = 1.25
"""How much longer than expected a training may take before it would miss the limit of time."""

WORTHWHILE = 1.3
"""How many times the search's steps a longer training takes at least."""

FINAL = "final"
"""Study attribute: validation mIoU of each finalist by step, by hash."""

ON_ALL = "trained on all labels"
"""Study attribute: the hash, schedule and last step of the training on all labelled images."""


@dataclass(frozen=True)
class Outcome:
    """What is exported.

    Attributes:
        digest: the candidate's hash.
        checkpoint: its weights.
        steps: how many steps they were trained for.
        miou: its validation mIoU at that length; None where it was trained on all labelled images at another size.
    """

    digest: str
    checkpoint: Path
    steps: int
    miou: float | None


def longer(settings: Settings) -> int:
    """Steps that finalists are trained for; 0 where none is trained for longer."""
    return LONGER * settings.full_steps if settings.final_steps is None else settings.final_steps


def finalists(table: pd.DataFrame) -> list[str]:
    """Hashes of the contenders to train for longer: the winner, those that tie with the first, and the best baseline.

    Args:
        table: as `nas.controller.ranking.rank` gives it.
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
    """Trains the finalists and says which checkpoint is exported.

    Attributes:
        folds: folds that candidates are compared on, 0 for one validation split.
        checkpoint: where the weights of a candidate trained with a seed in the search are.
        longest: where those of its final training go.
        provenance: what a checkpoint says of the run.
        clock: of this sitting.
    """

    study: optuna.Study
    pool: Pool
    settings: Settings
    folds: int
    entrants: list[Contender]
    table: pd.DataFrame
    checkpoint: Callable[[str, int], Path]
    longest: Callable[[str], Path]
    provenance: dict[str, Any]
    clock: Clock

    def __post_init__(self) -> None:
        # None of the seeds that ranked the contenders.
        self.seed = self.settings.seed + self.settings.repeats
        self.candidates = {contender.digest: contender.candidate for contender in self.entrants}

    def run(self) -> Outcome:
        """Train what is to be trained, and return what is exported.

        Raises:
            UserError: the final training of the winner failed.
        """
        winner = self.table[self.table["winner"]].iloc[0]
        digest, steps, stop, miou = winner["hash"], self.settings.full_steps, self.settings.full_steps, winner["miou"]
        curves = self._curves()
        for finalist, curve in curves.items():
            # Where the network is trained anew it may end at any rung, otherwise it is there at its end only.
            for step in curve if self.folds else [max(curve)]:
                if curve[step] > miou:
                    digest, steps, stop, miou = finalist, max(curve), step, curve[step]
        if self.folds:
            return self._on_all_labels(digest, steps, stop, miou)
        if steps > self.settings.full_steps:
            return Outcome(digest, self.longest(digest), steps, miou)
        scores = winner["values"]
        # Without a split to choose by, the first seed is as good as any.
        seed = max(scores, key=lambda s: scores[s]) if self.settings.holdout else min(scores, key=int)
        return Outcome(digest, self.checkpoint(digest, int(seed)), steps, miou)

    def _curves(self) -> dict[str, dict[int, float]]:
        """Validation mIoU by step of each finalist that was trained for longer."""
        steps = longer(self.settings)
        if not steps or not self.settings.holdout:
            return {}
        kept: dict[str, dict[str, float]] = self.study.user_attrs.get(FINAL, {})
        wanted = finalists(self.table)
        if self.settings.final_steps is None and self.clock.limit is not None:
            steps = LONGEST * self.settings.full_steps
        steps = self._fitted(wanted, steps)
        if not steps:
            log.info("No time is left to train the best contenders for longer.")
            return {}
        missing = [d for d in wanted if _length(kept.get(d, {})) < steps or self._lacks_weights(d)]
        if missing:
            who, taken = counted(len(missing), "contender"), duration(self._seconds(missing, steps))
            log.info("Final training: %s for %d steps each, about %s.", who, steps, taken)
            self._train(missing, steps, kept)
        return {d: {int(s): v for s, v in kept[d].items()} for d in wanted if _length(kept.get(d, {})) >= steps}

    def _fitted(self, digests: list[str], steps: int) -> int:
        """As many steps as the time left allows, 0 where that is hardly more than in the search."""
        expected = self._seconds(digests, steps) + self._seconds_on_all_labels(digests, steps)
        share = (self.clock.left() - LAST) / (MARGIN * expected)
        fitting = steps if share >= 1 else int(max(share, 0.0) * steps)
        return fitting if fitting >= WORTHWHILE * self.settings.full_steps else 0

    def _lacks_weights(self, digest: str) -> bool:
        return not self.folds and not self.longest(digest).exists()

    def _seconds(self, digests: list[str], steps: int) -> float:
        """Seconds of training these candidates for so many steps, on all workers."""
        of_search = self.table.set_index("hash")["seconds"]
        each = [float(np.nan_to_num(of_search[d])) * steps / self.settings.full_steps for d in digests]
        # The folds of a candidate are trained apart.
        return max(sum(each) / self.pool.slots, max(each, default=0.0) / max(self.folds, 1))

    def _seconds_on_all_labels(self, digests: list[str], steps: int) -> float:
        """Seconds of the training on all labelled images that follows where there are folds, of whichever is chosen."""
        return max(self._seconds([digest], steps) / self.folds for digest in digests) if self.folds else 0.0

    def _train(self, digests: list[str], steps: int, kept: dict[str, dict[str, float]]) -> None:
        """Train candidates for longer, each fold by itself; their scores go into `kept` and the study."""
        parts = [(digest, fold) for digest in digests for fold in (range(self.folds) if self.folds else [None])]
        for number, (digest, fold) in enumerate(parts):
            save = None if self.folds else str(self.longest(digest))
            task = Task(self.candidates[digest], steps, self._rungs(steps), self.seed, save, self.provenance)
            self.pool.submit(Job(number, replace(task, folds=self.folds, fold=fold)))
        after = self._seconds_on_all_labels(digests, steps) + LAST
        progress = Progress(len(parts), "Final training", self._seconds(digests, steps), after, self.clock.left)
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
                        self._keep(parts, ended, curves, steps, kept)
                running = [number for number in reached if number not in ended]
                underway = sum(reached[number] for number in running) / steps
                progress.show(len(ended), min(len(running), self.pool.slots), underway=underway)
        finally:
            progress.close()

    def _keep(
        self,
        parts: list[tuple[str, int | None]],
        ended: dict[int, Ended],
        curves: dict[int, dict[str, float]],
        steps: int,
        kept: dict[str, dict[str, float]],
    ) -> None:
        """Note the scores of the candidates of which every part has been trained."""
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
        """Steps at which a longer training is scored: some tenths of it."""
        return tuple(sorted({max(round(share * steps), 1) for share in (0.2, 0.4, 0.6, 0.8, 1.0)}))

    def _on_all_labels(self, digest: str, steps: int, stop: int, miou: float) -> Outcome:
        """Train a candidate on every labelled image."""
        target = self.longest(digest)
        plan = [digest, steps, stop]
        if self.study.user_attrs.get(ON_ALL) == plan and target.exists():
            return Outcome(digest, target, stop, miou)
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
                    return Outcome(digest, target, stop, miou)
                elif isinstance(message, Failed | Infeasible | Lost):
                    raise UserError(f"the winner could not be trained on all labelled images: {message.reason}")


def score_on_test(pool: Pool, checkpoint: Path, out: Path) -> float:
    """Score a checkpoint on the test split, once, and write it to `out` with that score; return the mIoU.

    Raises:
        UserError: it cannot be scored.
    """
    pool.submit(Job(0, FinalTest(str(checkpoint), str(out))))
    while True:
        for message in pool.messages(timeout=1.0):
            if isinstance(message, Done):
                return float(message.result["miou"])
            if isinstance(message, Failed | Infeasible | Lost):
                raise UserError(f"the winner could not be tested: {message.reason}")


def with_final(table: pd.DataFrame, study: optuna.Study, exported: Outcome, steps: int) -> pd.DataFrame:
    """The table with the score of each longer training, the steps it took, and what is exported as the winner.

    Args:
        steps: of a training of the search, which is no longer training.
    """
    curves: dict[str, dict[str, float]] = study.user_attrs.get(FINAL, {})
    last = {digest: max((int(step), miou) for step, miou in curve.items()) for digest, curve in curves.items()}
    if exported.steps != steps:
        last[exported.digest] = exported.steps, math.nan if exported.miou is None else exported.miou
    return table.assign(
        winner=table["hash"] == exported.digest,
        final_miou=[last[d][1] if d in last else math.nan for d in table["hash"]],
        final_steps=[last[d][0] if d in last else math.nan for d in table["hash"]],
    )


def _length(curve: dict[str, float]) -> int:
    """Steps of the longer training that gave a curve, 0 where there was none."""
    return max(map(int, curve), default=0)


def _pooled(folds: list[dict[int, list[int]]]) -> dict[str, float]:
    """The mIoU of all folds together by step."""
    from nas.training import pooled_miou

    return {str(step): pooled_miou([counts[step] for counts in folds]) for step in folds[0]}
