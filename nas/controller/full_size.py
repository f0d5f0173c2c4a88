"""The last training at full size, where candidates were compared on smaller images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna

from nas.controller.final_training import LONGEST, Outcome, longer
from nas.controller.probe import slowest
from nas.controller.progress import Progress
from nas.controller.timing import LAST, Clock, Pace
from nas.controller.work import Task
from nas.errors import UserError
from nas.pool import Done, Ended, Job, Pool, Rung
from nas.runs.settings import Settings, default_steps
from nas.wording import counted, duration

__all__ = ["FullSizeTraining"]

log = logging.getLogger("nas")

AT_FULL_SIZE = "trained at full size"
"""Study attribute: by hash, the size and steps of the training at full size, and its validation mIoU or None."""

MARGIN = 1.2
"""How much longer than a probe says a training may take before it would miss the limit of time."""

RUNGS = 20
"""Times at which a training says how far it is."""


@dataclass
class FullSizeTraining:
    """Trains the winner at full size; without folds the other best contenders too, as many as there are workers.

    Attributes:
        folds: folds that candidates were compared on. The winner is then trained on all labelled images, and nothing is
            left to choose by.
        pool: its workers hold the images at full size.
        target: where the weights of a candidate go, by hash.
        provenance: what a checkpoint says of the run.
        labelled: labelled images, which say how long a training may usefully be.
    """

    study: optuna.Study
    pool: Pool
    settings: Settings
    folds: int
    target: Callable[[str], Path]
    provenance: dict[str, Any]
    clock: Clock
    labelled: int

    def __post_init__(self) -> None:
        assert self.settings.size is not None
        self.size = f"{self.settings.size[0]}x{self.settings.size[1]}"
        # None of the seeds that ranked the contenders.
        self.seed = self.settings.seed + self.settings.repeats
        self.kept: dict[str, dict[str, Any]] = self.study.user_attrs.get(AT_FULL_SIZE, {})

    def run(self, candidates: Mapping[str, str], scores: Mapping[str, float]) -> Outcome:
        """Train candidates, unless an earlier sitting did, and return the one to export.

        Args:
            candidates: their JSON by hash, the winner of the ranking first.
            scores: their mean mIoU in the ranking, by hash.

        Raises:
            UserError: the training of every candidate failed.
        """
        chosen = list(candidates)[: 1 if self.folds else self.pool.slots]
        missing = {digest: candidates[digest] for digest in chosen if not self._is_trained(digest)}
        if missing:
            pace = slowest(self.pool, list(missing.values()), self.seed)
            steps = self._steps(pace)
            self._say(len(missing), steps, pace)
            self._train([self._task(d, c, steps, scores[d]) for d, c in missing.items()], list(missing), pace)
        outcomes = [self._outcome(digest) for digest in chosen if self._is_trained(digest)]
        # Without a split to choose by there is one.
        return max(outcomes, key=lambda outcome: outcome.miou or 0.0)

    def _is_trained(self, digest: str) -> bool:
        return self.kept.get(digest, {}).get("size") == self.size and self.target(digest).exists()

    def _outcome(self, digest: str) -> Outcome:
        kept = self.kept[digest]
        return Outcome(digest, self.target(digest), kept["steps"], kept["miou"])

    def _steps(self, pace: Pace) -> int:
        """The steps that `longer` says; with a limit on time as many as fit, up to `LONGEST` default trainings."""
        steps = longer(self.settings) or self.settings.full_steps
        if self.clock.limit is None:
            return steps
        if self.settings.final_steps is None:
            steps = LONGEST * max(self.settings.full_steps, default_steps(self.labelled))
        there = (self.clock.left() - LAST) / MARGIN - RUNGS * pace.validation
        return max(min(steps, int(there / pace.step)), 1)

    def _say(self, count: int, steps: int, pace: Pace) -> None:
        who = "The winner is" if count == 1 else f"The best {counted(count, 'contender')} are"
        on = "on all labelled images, " if self.folds else ""
        log.info("%s trained at %s, %s%d steps, about %s.", who, self.size, on, steps, duration(steps * pace.step))

    def _task(self, digest: str, candidate: str, steps: int, score: float) -> Task:
        rungs = tuple(sorted({max(round(steps * i / RUNGS), 1) for i in range(1, RUNGS + 1)}))
        target = str(self.target(digest))
        task = Task(candidate, steps, rungs, self.seed, target, self.provenance, save_stopped=True)
        if not self.folds:
            return task
        height, width = self.settings.search_size or self.settings.size or (0, 0)
        scored_on = f"{self.folds} folds of the labelled images at {height}x{width}"
        provenance = {**self.provenance, "scored on": scored_on}
        return replace(task, metrics={"validation_miou": score}, provenance=provenance)

    def _train(self, tasks: list[Task], digests: list[str], pace: Pace) -> None:
        """Train candidates at once, and note each in the study as it ends."""
        steps = tasks[0].steps
        progress = Progress(len(tasks), "Final training", steps * pace.step, LAST, self.clock.left)
        reached = dict.fromkeys(range(len(tasks)), 0)
        reason = ""
        for number, task in enumerate(tasks):
            self.pool.submit(Job(number, task))
        try:
            while reached:
                for message in self.pool.messages(timeout=0.5):
                    number = message.job.id
                    if isinstance(message, Rung):
                        reached[number] = message.step
                        # Slower than its probe, as on a busy machine, it ends before its schedule does.
                        self.pool.answer(number, self.clock.left() > 0)
                    elif isinstance(message, Done):
                        del reached[number]
                        # With folds its score is that on the images that it was trained on.
                        score = None if self.folds else message.result["miou"]
                        self.kept[digests[number]] = {
                            "size": self.size,
                            "steps": message.result["steps"],
                            "miou": score,
                        }
                        self.study.set_user_attr(AT_FULL_SIZE, self.kept)
                    elif isinstance(message, Ended):
                        del reached[number]
                        reason = message.reason
                progress.show(len(tasks) - len(reached), len(reached), underway=sum(reached.values()) / steps)
        finally:
            progress.close()
        if not any(self._is_trained(digest) for digest in digests):
            raise UserError(f"the winner could not be trained at {self.size}: {reason}")
