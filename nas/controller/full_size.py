"""The final training at full size, where candidates were compared on smaller images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna

from nas.controller.final_training import AT_FULL_SIZE, MAX_FACTOR, Exported, final_steps
from nas.controller.probe import slowest
from nas.controller.progress import Progress
from nas.controller.timing import FINISHING, Clock, Pace
from nas.controller.work import Task
from nas.errors import UserError
from nas.pool import Done, Ended, Job, Pool, Rung
from nas.runs.settings import Settings, default_steps
from nas.wording import counted, duration

__all__ = ["FullSizeTraining"]

log = logging.getLogger("nas")

MARGIN = 1.2
"""Factor between the duration expected from a probe and the time that a training must fit into."""

RUNGS = 20
"""Reports of a training."""


@dataclass
class FullSizeTraining:
    """Trains the winner at full size. Without folds, other contenders are trained too, one per worker.

    Attributes:
        pool: workers that hold the images at full size.
        folds: folds that candidates were compared on. With folds the winner is trained on all labelled images, and no
            validation split is left to choose by.
        target: path of the weights of a candidate, by hash.
        provenance: what a checkpoint says of the run.
        labelled: number of labelled images, which limits the useful steps.
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
        # A seed that the ranking has not used.
        self.seed = self.settings.seed + self.settings.repeats
        self.kept: dict[str, dict[str, Any]] = self.study.user_attrs.get(AT_FULL_SIZE, {})

    def run(self, candidates: Mapping[str, str], scores: Mapping[str, float]) -> Exported:
        """Train candidates, unless an earlier session did, and return the one to export.

        Args:
            candidates: JSON of the candidates by hash, the winner of the ranking first.
            scores: mean mIoU in the ranking by hash.

        Raises:
            UserError: the training of every candidate failed.
        """
        chosen = list(candidates)[: 1 if self.folds else self.pool.slots]
        missing = {digest: candidates[digest] for digest in chosen if not self._is_trained(digest)}
        if missing:
            pace = slowest(self.pool, list(missing.values()), self.seed)
            steps = self._steps(pace)
            self._log_start(len(missing), steps, pace)
            self._train([self._task(d, c, steps, scores[d]) for d, c in missing.items()], list(missing), pace)
        outcomes = [self._outcome(digest) for digest in chosen if self._is_trained(digest)]
        # With folds there is only one.
        return max(outcomes, key=lambda outcome: outcome.miou or 0.0)

    def _is_trained(self, digest: str) -> bool:
        return self.kept.get(digest, {}).get("size") == self.size and self.target(digest).exists()

    def _outcome(self, digest: str) -> Exported:
        kept = self.kept[digest]
        return Exported(digest, self.target(digest), kept["steps"], kept["miou"])

    def _steps(self, pace: Pace) -> int:
        """The steps of `final_steps`; with a time limit as many as fit, up to MAX_FACTOR default trainings."""
        steps = final_steps(self.settings) or self.settings.full_steps
        if self.clock.limit is None:
            return steps
        if self.settings.final_steps is None:
            steps = MAX_FACTOR * max(self.settings.full_steps, default_steps(self.labelled))
        available = (self.clock.remaining() - FINISHING) / MARGIN - RUNGS * pace.validation
        return max(min(steps, int(available / pace.step)), 1)

    def _log_start(self, count: int, steps: int, pace: Pace) -> None:
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
        """Train candidates at once, and store each result in the study."""
        steps = tasks[0].steps
        progress = Progress(len(tasks), "Final training", steps * pace.step, FINISHING, self.clock.remaining)
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
                        self.pool.answer(number, self.clock.remaining() > 0)
                    elif isinstance(message, Done):
                        del reached[number]
                        # With folds the score is on images that it was trained on.
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
