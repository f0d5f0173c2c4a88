"""The search itself: ask, close, check, run, tell, until the budget is spent."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from nas.controller.contenders import best_of_front
from nas.controller.progress import Progress
from nas.controller.work import Task
from nas.errors import UserError
from nas.interrupt import check
from nas.pool import Done, Failed, Infeasible, Job, Lost, Message, Pool, Requeued, Rung
from nas.record import (
    TrialRecord,
    by_hash,
    end,
    report,
    requeue,
    unfinished,
    used_budget,
    write,
)
from nas.runs.objectives import costs, estimated_costs
from nas.runs.settings import UNLIMITED, Settings
from nas.space import Recipe, candidate_hash, close, draw, from_trial, genes_of, is_open, to_json
from nas.stopping import StoppingRule
from nas.stopping.promotion import promotable

__all__ = ["FRUITLESS", "Exploration", "broken_constraint", "outside_constraints", "return_unfinished"]

log = logging.getLogger("nas")

MEASURED = ("steps", "seconds", "step_seconds", "peak_mb", "latency_ms", "logs")
"""What a training measures of itself, by the field of the record that it is stored in."""

FRUITLESS = 100
"""Draws in a row that give nothing to train, after which the space is taken to be exhausted."""

LOST_LIMIT = 10
"""Candidates in a row that took their worker down twice, after which something else is wrong."""


def return_unfinished(study: optuna.Study, reason: str = "the search stopped while it was being trained") -> int:
    """End the trials that nothing trains any more as lost, and queue their candidates again."""
    left = unfinished(study)
    for trial in left:
        record = TrialRecord.of(trial)
        end(study, trial, "lost", reason=reason)
        requeue(study, record)
    return len(left)


@dataclass
class Exploration:
    """One stretch of a search: the study, the pool, and the trials being trained.

    Attributes:
        cost_of: parameters and multiply-adds of a candidate, as attributes; raises when it cannot be built.
        checkpoint: where a candidate's weights go when it is trained in full.
        in_time: whether there is time left for candidates. Once there is not, those that are being trained are given
            up, unless none has been trained in full yet.
        folds: folds that candidates are scored on, 0 for one validation split; no weights are kept of them.
        provenance: what a checkpoint is to say of the run.
        warned: warnings that need not be given again, by their templates.
    """

    study: optuna.Study
    space: Recipe
    settings: Settings
    pool: Pool
    stopping: StoppingRule
    progress: Progress
    cost_of: Callable[[Recipe], dict[str, Any]]
    checkpoint: Callable[[str], Path]
    in_time: Callable[[], bool] = lambda: True
    folds: int = 0
    provenance: dict[str, Any] = field(default_factory=dict)
    warned: set[str] = field(default_factory=set)
    _running: dict[int, optuna.Trial] = field(default_factory=dict)
    _reported: set[tuple[int, int]] = field(default_factory=set)
    _stopped: dict[int, int] = field(default_factory=dict)
    """By number, the step at which a trial was told to stop."""
    _fruitless: int = 0
    _lost: int = 0

    def run(self) -> None:
        """Spend the budget.

        Raises:
            UserError: when nothing in the space passes its constraints, or workers die on everything.
        """
        self._remember()
        while True:
            in_time = self.in_time()
            # Without a single network there is nothing to export.
            while (in_time or self._nothing_yet()) and self.pool.idle() and self._wanted() and not self._exhausted():
                check()
                self._next()
            if not self._running:
                break
            if not in_time and self.progress.best is not None:
                self._give_up()
                break
            for message in self.pool.messages(timeout=0.5):
                self._hear(message)
            running = len(self._running)
            self.progress.show(used_budget(self.study), running, self.stopping.describe(), self._underway())
        self._say_why_it_ended(in_time)

    def _nothing_yet(self) -> bool:
        """Whether no candidate has been trained in full, and none is being trained."""
        return self.progress.best is None and not self._running

    def _give_up(self) -> None:
        """End what is being trained; it is queued again, for when the run is resumed."""
        for number in self._running:
            self.pool.cancel(number)
        self._running.clear()
        return_unfinished(self.study, "the time for trying candidates was used up")

    def _wanted(self) -> bool:
        begun = sum(TrialRecord.of(trial).continues is None for trial in self._running.values())
        return used_budget(self.study) + begun < self.settings.budget

    def _exhausted(self) -> bool:
        """Whether draws give nothing new any more; those of a single recipe cannot."""
        if self._fruitless >= (FRUITLESS if is_open(self.space) else 1):
            return is_open(self.space) or not self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return False

    def _underway(self) -> float:
        """How much of the running trials is done, each counting from 0 to 1, by their last rungs."""
        reached = dict(sorted(self._reported))
        return sum(reached.get(number, 0) for number in self._running) / self.settings.full_steps

    def _remember(self) -> None:
        """Take up where an earlier session of the run stopped."""
        for record in by_hash(self.study).values():
            for rung, value in record.rungs.items():
                self.stopping.record(record.first_number, rung, value)
            self.progress.note(record.outcome or "", record.score if record.outcome == "complete" else None)

    def _say_why_it_ended(self, in_time: bool) -> None:
        tried = used_budget(self.study)
        if tried == 0 and in_time:
            raise UserError(
                f"no candidate passed the space's constraints in {FRUITLESS} draws: loosen them, or widen the space"
            )
        if not in_time and tried < self.settings.budget:
            of = "" if self.settings.budget == UNLIMITED else f" of {self.settings.budget}"
            log.info("The time for trying candidates is used up: %d%s were tried.", tried, of)
        elif tried < self.settings.budget:
            log.info("The space holds nothing new: %d of %d candidates were tried.", tried, self.settings.budget)

    def _next(self) -> None:
        """Ask for one trial, and give it to a worker unless it is answered without one."""
        if self.stopping.promotes:
            self._promote()
        if self._fruitless >= FRUITLESS // 2:
            self._queue_drawn()
        trial = self.study.ask()
        queued = TrialRecord.of(trial)
        if queued.outside_space:
            candidate: Recipe = self.space.baselines[queued.baseline or 0]
        else:
            candidate = close(self.space, from_trial(trial))
        candidate = candidate.candidate()
        digest = candidate_hash(candidate)
        write(trial, hash=digest, candidate=to_json(candidate))
        if queued.continues is not None:
            self._continue(trial, by_hash(self.study)[digest])
        elif self._answered(trial, digest, candidate, is_baseline=queued.baseline is not None):
            self._fruitless += 1
            return
        self._fruitless = 0
        self._running[trial.number] = trial
        task = Task(
            to_json(candidate),
            self.stopping.rungs[-1],
            self.stopping.rungs,
            self.settings.seed,
            save=None if self.folds else str(self.checkpoint(digest)),
            provenance={**self.provenance, "trial": trial.number},
            timed=self.settings.timed,
            paused=str(self._kept(digest)) if self.stopping.promotes else None,
            folds=self.folds,
        )
        self.pool.submit(Job(trial.number, task))

    def _kept(self, digest: str) -> Path:
        """Where the training of a candidate that was stopped is kept."""
        return self.checkpoint(digest).with_suffix(".state")

    def _forget(self, digest: str) -> None:
        """Remove the kept training of a candidate, that of each fold where there are folds."""
        kept = self._kept(digest)
        for file in kept.parent.glob(f"{kept.name}*"):
            file.unlink(missing_ok=True)

    def _promote(self) -> None:
        """Queue the candidate that goes on after it was stopped, where there is one and nothing else is queued."""
        if self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            return
        record = promotable(self.study, self.stopping, self._kept, self._running_hashes())
        if record is not None:
            requeue(self.study, record, continues=record.first_number)
            self.progress.taken_up()

    def _running_hashes(self) -> set[str]:
        return {TrialRecord.of(trial).hash for trial in self._running.values()}

    def _queue_drawn(self) -> None:
        """Queue a drawn candidate: some samplers repeat themselves while much of a small space is left."""
        rng = random.Random(f"{self.settings.seed} {len(self.study.get_trials(deepcopy=False))}")
        self.study.enqueue_trial(genes_of(self.space, draw(rng))[1])

    def _continue(self, trial: optuna.Trial, earlier: TrialRecord) -> None:
        """Copy the reports and the costs of the continued trial."""
        for rung, value in earlier.rungs.items():
            report(self.study, trial, rung, value)
            self._reported.add((trial.number, rung))
        write(trial, params=earlier.params, macs=earlier.macs)

    def _answered(self, trial: optuna.Trial, digest: str, candidate: Recipe, is_baseline: bool) -> bool:
        """Whether a trial ends without a worker: known already, outside the constraints, or not to be built."""
        if digest in self._running_hashes():
            end(self.study, trial, "duplicate", reason="the same candidate is being trained")
            return True
        known = by_hash(self.study).get(digest)
        if known is not None:
            for rung, value in known.rungs.items():
                report(self.study, trial, rung, value)
            if known.partial is not None:
                write(trial, partial=known.partial)
            end(self.study, trial, "duplicate", known.values, known.trial.state, duplicate_of=known.number)
            return True
        try:
            broken = None if is_baseline else broken_constraint(self.space, candidate)
            if broken is not None:
                end(self.study, trial, "infeasible", reason=f"constraint {broken} is not met", free=True)
                return True
            write(trial, **self.cost_of(candidate))
        except (Exception, SystemExit) as error:  # a space may hold parts of anyone's making
            self._failed(trial, f"it cannot be built: {error}", traceback.format_exc())
            return True
        return False

    def _hear(self, message: Message) -> None:
        number = message.job.id
        trial = self._running.get(number)
        if trial is None:
            return
        if isinstance(message, Rung):
            self._rung(trial, message)
        elif isinstance(message, Requeued):
            log.warning("%s: %s; it is run again.", _known_as(trial), message.reason)
        elif isinstance(message, Done | Failed | Infeasible | Lost):
            del self._running[number]
            self._lost = self._lost + 1 if isinstance(message, Lost) else 0
            if isinstance(message, Done):
                self._done(trial, message.result)
            elif isinstance(message, Failed):
                self._failed(trial, message.reason, message.traceback)
            elif isinstance(message, Infeasible):
                end(self.study, trial, "infeasible", reason=message.reason)
                self.progress.note("infeasible", None)
            else:
                end(self.study, trial, "lost", reason=message.reason)
            if not isinstance(message, Done):
                self._forget(TrialRecord.of(trial).hash)
            if isinstance(message, Lost) and self._lost >= LOST_LIMIT:
                raise UserError(f"{LOST_LIMIT} candidates in a row took their worker down: {message.reason}")

    def _rung(self, trial: optuna.Trial, message: Rung) -> None:
        rung = (trial.number, message.step)
        if rung in self._reported:  # a job that is run again reports its rungs again
            self.pool.answer(trial.number, self._stopped.get(trial.number) != message.step)
            return
        self._reported.add(rung)
        # Run again from where it was kept, a training that was stopped goes on to its next rung.
        self._stopped.pop(trial.number, None)
        report(self.study, trial, message.step, message.value)
        record = TrialRecord.of(trial)
        passes = self.stopping.goes_on(record.first_number, message.step, message.value)
        # A baseline is trained in full for the final table anyway, unless time is short.
        goes_on = passes or (record.baseline is not None and self.settings.max_time is None)
        if not goes_on:
            self._stopped[trial.number] = message.step
            others = estimated_costs(self.settings.objectives, record)
            if others:
                write(trial, partial=[message.step, message.value, *others])
        self.pool.answer(trial.number, goes_on)

    def _done(self, trial: optuna.Trial, result: dict[str, Any]) -> None:
        how = "pruned" if trial.number in self._stopped else "complete"
        self._stopped.pop(trial.number, None)
        record = TrialRecord.of(trial)
        measured = {name: result[name] for name in MEASURED}
        if result["warnings"]:
            measured["warnings"] = list(result["warnings"].values())
        if record.continues is not None:
            measured["seconds"] += by_hash(self.study)[record.hash].seconds or 0.0
        values = (result["miou"], *costs(self.settings.objectives, replace(record, **measured)))
        end(self.study, trial, how, values, **measured)
        if how == "complete":
            self._forget(record.hash)
        for template, text in result["warnings"].items():
            if template not in self.warned:
                self.warned.add(template)
                log.warning("%s: %s", _known_as(trial), text)
        self.progress.note(how, result["miou"] if how == "complete" else None)
        self._drop_checkpoints()

    def _failed(self, trial: optuna.Trial, reason: str, trace: str) -> None:
        log.warning("%s failed: %s", _known_as(trial), reason.splitlines()[0][:200] if reason else "no reason given")
        end(self.study, trial, "failed", reason=reason, traceback=trace)
        self.progress.note("failed", None)

    def _drop_checkpoints(self) -> None:
        """Keep the weights of the best few and of the baselines only."""
        complete = [record for record in by_hash(self.study).values() if record.outcome == "complete"]
        kept = {record.number for record in best_of_front(complete, self.settings.best)}
        for record in complete:
            if record.number not in kept and record.baseline is None:
                self.checkpoint(record.hash).unlink(missing_ok=True)


def _known_as(trial: optuna.Trial) -> str:
    """What a line of the log begins with."""
    record = TrialRecord.of(trial)
    return record.name.capitalize() if record.baseline is None else record.name


def outside_constraints(space: Recipe) -> list[str]:
    """A line about each baseline that breaks a constraint of its own space, since it is trained all the same."""
    lines = []
    for i, baseline in enumerate(space.baselines):
        name = space.baseline_name(i)
        try:
            broken = broken_constraint(space, baseline.candidate())
        except Exception as error:  # a constraint is anyone's making
            lines.append(f"{name}: a constraint of the space fails on it ({error}); it is trained anyway")
            continue
        if broken is not None:
            lines.append(f"{name} does not meet constraint {broken} of the space; it is trained anyway")
    return lines


def broken_constraint(space: Recipe, candidate: Recipe) -> int | None:
    """The number of the first constraint that a candidate does not meet."""
    tests: Iterable[tuple[int, Callable[[Recipe], bool]]] = enumerate(space.constraints)
    return next((i for i, test in tests if not test(candidate)), None)
