"""Training the contenders on several seeds for the final ranking."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from nas.controller.contenders import Contender
from nas.controller.progress import Progress
from nas.controller.work import Task
from nas.pool import Done, Ended, Job, Lost, Pool, Rung
from nas.record import records
from nas.runs.settings import Settings
from nas.stopping import rungs_of

__all__ = ["Repeats", "Results"]

log = logging.getLogger("nas")

Results = dict[str, dict[str, dict[str, Any]]]
"""By candidate hash, then by seed: the measurements of a training, or its error."""

MEASURED = ("seconds", "peak_mb", "latency_ms")

REPEATS = "repeats"
"""Study attribute that holds the results."""

LOST = "lost"
"""Key of a result: whether the training was lost with its worker."""


@dataclass
class Repeats:
    """Trains every contender on every seed.

    The same candidate, seed and device give the same numbers, so results of the search and of earlier sessions are
    reused. A training is repeated where it was lost with its worker, or where its checkpoint is missing, which may be
    the one to export.

    Attributes:
        checkpoint: path of the weights of a candidate, by hash and seed.
        provenance: what a checkpoint says of the run.
        folds: folds that contenders are scored on, 0 for one validation split. Each seed divides the images anew, and
            no weights are kept.
        in_time: whether there is time left. Once there is not, running trainings are cancelled.
    """

    study: optuna.Study
    pool: Pool
    settings: Settings
    checkpoint: Callable[[str, int], Path]
    provenance: dict[str, Any]
    progress: Progress
    folds: int = 0
    in_time: Callable[[], bool] = lambda: True

    def run(self, contenders: Sequence[Contender]) -> Results:
        """Run the missing trainings, and return all results."""
        results = {contender.digest: self._reusable(contender) for contender in contenders}
        seeds = range(self.settings.seed, self.settings.seed + self.settings.repeats)
        # Seed by seed, so that all contenders have some seeds in common when time runs out.
        missing = [(c, seed) for seed in seeds for c in contenders if str(seed) not in results[c.digest]]
        for number, (contender, seed) in enumerate(missing):
            self.pool.submit(Job(number, self._task(contender, seed)))
        if self._collect(dict(enumerate(missing)), results):
            return results
        return on_common_seeds(results)

    def _task(self, contender: Contender, seed: int) -> Task:
        steps = self.settings.full_steps
        path = None if self.folds else str(self.checkpoint(contender.digest, seed))
        return Task(
            contender.candidate,
            steps,
            rungs_of(steps),
            seed,
            path,
            self.provenance,
            self.settings.timed,
            folds=self.folds,
        )

    def _collect(self, waiting: dict[int, tuple[Contender, int]], results: Results) -> bool:
        """Wait for trainings by job number, and store their results; return whether all ended in time."""
        total = self.progress.total = len(waiting)
        fractions: dict[int, float] = {}
        while waiting:
            if not self.in_time():
                log.info("The time for the ranking is used up: %d trainings are cancelled.", len(waiting))
                for number in waiting:
                    self.pool.cancel(number)
                return False
            for message in self.pool.messages(timeout=0.5):
                if isinstance(message, Rung):
                    fractions[message.job.id] = message.step / self.settings.full_steps
                    self.pool.answer(message.job.id, True)
                elif isinstance(message, Ended) and message.job.id in waiting:
                    fractions.pop(message.job.id, None)
                    contender, seed = waiting.pop(message.job.id)
                    results[contender.digest][str(seed)] = _result(message)
                    self.study.set_user_attr(REPEATS, results)
                    score = message.result["miou"] if isinstance(message, Done) else None
                    self.progress.note("failed" if score is None else "trained", score)
            running = min(len(waiting), self.pool.slots)
            self.progress.show(total - len(waiting), running, underway=sum(fractions.values()))
        return True

    def _reusable(self, contender: Contender) -> dict[str, dict[str, Any]]:
        """Results by seed that need no new training."""
        stored: Results = self.study.user_attrs.get(REPEATS, {})
        reusable = {
            seed: result
            for seed, result in stored.get(contender.digest, {}).items()
            if not result.get(LOST) and ("error" in result or self._has_weights(contender, int(seed)))
        }
        return {**self._of_search(contender), **reusable}

    def _of_search(self, contender: Contender) -> dict[str, dict[str, Any]]:
        """The search's own training of a contender, which had the first seed."""
        seed = self.settings.seed
        if contender.trial is None or not self._has_weights(contender, seed):
            return {}
        record = records(self.study)[contender.trial]
        if record.outcome != "complete":
            return {}
        return {str(seed): {"miou": record.values[0], **{name: getattr(record, name) for name in MEASURED}}}

    def _has_weights(self, contender: Contender, seed: int) -> bool:
        """Whether the checkpoint is there, or none is kept since contenders are scored on folds."""
        return self.folds > 0 or self.checkpoint(contender.digest, seed).exists()


def on_common_seeds(results: Results) -> Results:
    """Results on the seeds that every contender has, since means over different seeds do not compare.

    Without a common seed, all results are kept.
    """
    begun = [set(of_seed) for of_seed in results.values() if of_seed]
    common = set.intersection(*begun) if begun else set()
    if not common:
        return results
    return {digest: {s: r for s, r in of_seed.items() if s in common} for digest, of_seed in results.items()}


def _result(message: Ended) -> dict[str, Any]:
    """What is stored of a training."""
    if isinstance(message, Done):
        return {name: message.result[name] for name in ("miou", *MEASURED)}
    return {"error": message.reason, LOST: isinstance(message, Lost)}
