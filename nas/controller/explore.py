"""The search loop: ask the sampler, check and train candidates, and tell the results, until the budget is used."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from nas.controller.constraints import broken_constraint
from nas.controller.contenders import best_of_front
from nas.controller.progress import Progress
from nas.controller.work import Task
from nas.errors import UserError
from nas.interrupt import check
from nas.pool import Done, Failed, Infeasible, Job, Lost, Message, Pool, Requeued, Rung
from nas.record import TrialRecord, by_hash, end, report, requeue, unfinished, used_budget, write
from nas.runs.objectives import costs, estimated_costs
from nas.runs.settings import UNLIMITED, Settings
from nas.space import Recipe, candidate_hash, close, draw, from_trial, genes_of, is_open, to_json
from nas.stopping import StoppingRule
from nas.stopping.promotion import promotable

__all__ = ["MAX_FRUITLESS", "Exploration", "return_unfinished"]

log = logging.getLogger("nas")

MEASURED = ("steps", "seconds", "step_seconds", "peak_mb", "latency_ms", "logs", "cached")
"""Results of a training that are stored in the trial's record."""

MAX_FRUITLESS = 100
"""Proposals in a row without a new candidate, after which the space counts as exhausted."""

MAX_LOST = 10
"""Candidates in a row that were lost with their workers, after which the search stops."""


def return_unfinished(study: optuna.Study, reason: str = "the search stopped while it was being trained") -> int:
    """End unfinished trials as lost and queue their candidates again; return how many."""
    trials = unfinished(study)
    for trial in trials:
        record = TrialRecord.of(trial)
        end(study, trial, "lost", reason=reason)
        requeue(study, record)
    return len(trials)


@dataclass
class Exploration:
    """The search loop of one session: the study, the pool, and the trials that are being trained.

    Attributes:
        cost_of: parameters and multiply-adds of a candidate, by these names; raises if it cannot be built.
        checkpoint: path of the weights of a candidate that was trained in full.
        in_time: whether there is time left for candidates. Once there is not, running trials are cancelled, unless
            no candidate has been trained in full yet.
        folds: folds that candidates are scored on, 0 for one validation split. With folds no weights are kept.
        provenance: what a checkpoint says of the run.
        warned: warnings that were given already, by their templates.
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
    """By trial number, the step at which a trial was told to stop."""
    _fruitless: int = 0
    _lost: int = 0

    def run(self) -> None:
        """Try candidates until the budget or the time is used.

        Raises:
            UserError: no candidate meets the constraints, or workers die on every candidate.
        """
        self._restore()
        while True:
            in_time = self.in_time()
            # Without a trained network there is nothing to export.
            while (in_time or self._has_nothing()) and self.pool.idle() and self._wants_more():
                check()
                self._start_next()
            if not self._running:
                break
            if not in_time and self.progress.best is not None:
                self._cancel_running()
                break
            for message in self.pool.messages(timeout=0.5):
                self._handle(message)
            running = len(self._running)
            self.progress.show(used_budget(self.study), running, self.stopping.describe(), self._running_fraction())
        self._log_end(in_time)

    def _restore(self) -> None:
        """Pass the trials of earlier sessions to the stopping rule and the progress line."""
        for record in by_hash(self.study).values():
            for rung, value in record.rungs.items():
                self.stopping.record(record.first_number, rung, value)
            score = record.score if record.outcome == "complete" else None
            self.progress.note(record.outcome or "", score, record.cached)

    def _has_nothing(self) -> bool:
        """Whether there is nothing to export: no complete candidate and none in training."""
        return self.progress.best is None and not self._running

    def _wants_more(self) -> bool:
        """Whether the budget is not used yet, and the space not exhausted."""
        new = sum(TrialRecord.of(trial).continues is None for trial in self._running.values())
        return used_budget(self.study) + new < self.settings.budget and not self._exhausted()

    def _exhausted(self) -> bool:
        """Whether the sampler gives no new candidates. A closed recipe is exhausted after one fruitless proposal."""
        if self._fruitless >= (MAX_FRUITLESS if is_open(self.space) else 1):
            return is_open(self.space) or not self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return False

    def _running_fraction(self) -> float:
        """How much of the running trials is done by their last rungs, each counting from 0 to 1."""
        reached = dict(sorted(self._reported))
        return sum(reached.get(number, 0) for number in self._running) / self.settings.full_steps

    def _cancel_running(self) -> None:
        """Cancel running trials, and queue them for when the run is resumed."""
        for number in self._running:
            self.pool.cancel(number)
        self._running.clear()
        return_unfinished(self.study, "the time for trying candidates was used up")

    def _log_end(self, in_time: bool) -> None:
        tried = used_budget(self.study)
        if tried == 0 and in_time:
            raise UserError(
                f"no candidate passed the space's constraints in {MAX_FRUITLESS} draws: loosen them, or widen the space"
            )
        if not in_time and tried < self.settings.budget:
            of = "" if self.settings.budget == UNLIMITED else f" of {self.settings.budget}"
            log.info("The time for trying candidates is used up: %d%s were tried.", tried, of)
        elif tried < self.settings.budget:
            log.info("The space holds nothing new: %d of %d candidates were tried.", tried, self.settings.budget)

    def _start_next(self) -> None:
        """Ask for a trial, and submit it unless it ends without a training."""
        if self.stopping.promotes:
            self._promote()
        if self._fruitless >= MAX_FRUITLESS // 2:
            self._queue_random()
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
            self._copy_reports(trial, by_hash(self.study)[digest])
        elif self._ends_untrained(trial, digest, candidate, is_baseline=queued.baseline is not None):
            self._fruitless += 1
            return
        self._fruitless = 0
        self._running[trial.number] = trial
        self.pool.submit(Job(trial.number, self._task(trial.number, digest, to_json(candidate))))

    def _task(self, number: int, digest: str, candidate: str) -> Task:
        return Task(
            candidate,
            self.stopping.rungs[-1],
            self.stopping.rungs,
            self.settings.seed,
            save=None if self.folds else str(self.checkpoint(digest)),
            provenance={**self.provenance, "trial": number},
            timed=self.settings.timed,
            paused=str(self._state_file(digest)) if self.stopping.promotes else None,
            folds=self.folds,
        )

    def _state_file(self, digest: str) -> Path:
        """Path of the state of a stopped training."""
        return self.checkpoint(digest).with_suffix(".state")

    def _remove_state(self, digest: str) -> None:
        """Remove the state of a candidate's training; there is one per fold."""
        file = self._state_file(digest)
        for path in file.parent.glob(f"{file.name}*"):
            path.unlink(missing_ok=True)

    def _promote(self) -> None:
        """Queue the stopped candidate that the rule promotes, unless something is queued already."""
        if self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            return
        record = promotable(self.study, self.stopping, self._state_file, self._running_hashes())
        if record is not None:
            requeue(self.study, record, continues=record.first_number)
            self.progress.resumed(record.cached)

    def _running_hashes(self) -> set[str]:
        return {TrialRecord.of(trial).hash for trial in self._running.values()}

    def _queue_random(self) -> None:
        """Queue a random candidate: some samplers repeat themselves although a small space has others left."""
        rng = random.Random(f"{self.settings.seed} {len(self.study.get_trials(deepcopy=False))}")
        self.study.enqueue_trial(genes_of(self.space, draw(rng))[1])

    def _copy_reports(self, trial: optuna.Trial, earlier: TrialRecord) -> None:
        """Copy the reports and the costs of the continued trial."""
        for rung, value in earlier.rungs.items():
            report(self.study, trial, rung, value)
            self._reported.add((trial.number, rung))
        write(trial, params=earlier.params, macs=earlier.macs)

    def _ends_untrained(self, trial: optuna.Trial, digest: str, candidate: Recipe, is_baseline: bool) -> bool:
        """End a trial whose candidate is known, breaks a constraint or cannot be built; return whether it ended."""
        if digest in self._running_hashes():
            end(self.study, trial, "duplicate", reason="the same candidate is being trained")
            return True
        known = by_hash(self.study).get(digest)
        if known is not None:
            self._end_duplicate(trial, known)
            return True
        try:
            broken = None if is_baseline else broken_constraint(self.space, candidate)
            if broken is not None:
                end(self.study, trial, "infeasible", reason=f"constraint {broken} is not met", free=True)
                return True
            write(trial, **self.cost_of(candidate))
        except (Exception, SystemExit) as error:  # spaces hold user code
            self._fail(trial, f"it cannot be built: {error}", traceback.format_exc())
            return True
        return False

    def _end_duplicate(self, trial: optuna.Trial, known: TrialRecord) -> None:
        """End a trial with the result of an earlier one."""
        for rung, value in known.rungs.items():
            report(self.study, trial, rung, value)
        if known.partial is not None:
            write(trial, partial=known.partial)
        end(self.study, trial, "duplicate", known.values, known.trial.state, duplicate_of=known.number)

    def _handle(self, message: Message) -> None:
        trial = self._running.get(message.job.id)
        if trial is None:
            return
        if isinstance(message, Rung):
            self._handle_rung(trial, message)
        elif isinstance(message, Requeued):
            log.warning("%s: %s; it is trained again.", _log_name(trial), message.reason)
        elif isinstance(message, Done | Failed | Infeasible | Lost):
            self._handle_end(trial, message)

    def _handle_rung(self, trial: optuna.Trial, message: Rung) -> None:
        """Report a score, and tell the worker whether the training goes on."""
        rung = (trial.number, message.step)
        if rung in self._reported:  # a job that runs again reports its rungs again
            self.pool.answer(trial.number, self._stopped.get(trial.number) != message.step)
            return
        self._reported.add(rung)
        # A stopped training that runs again from its stored state goes on to its next rung.
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

    def _handle_end(self, trial: optuna.Trial, message: Done | Failed | Infeasible | Lost) -> None:
        del self._running[trial.number]
        self._lost = self._lost + 1 if isinstance(message, Lost) else 0
        if isinstance(message, Done):
            self._finish(trial, message.result)
            return
        if isinstance(message, Failed):
            self._fail(trial, message.reason, message.traceback)
        elif isinstance(message, Infeasible):
            end(self.study, trial, "infeasible", reason=message.reason)
            self.progress.note("infeasible", None)
        else:
            end(self.study, trial, "lost", reason=message.reason)
        self._remove_state(TrialRecord.of(trial).hash)
        if self._lost >= MAX_LOST:
            raise UserError(f"{MAX_LOST} candidates in a row were lost with their workers: {message.reason}")

    def _finish(self, trial: optuna.Trial, result: dict[str, Any]) -> None:
        """End a trial that was trained in full or stopped early."""
        outcome = "pruned" if trial.number in self._stopped else "complete"
        self._stopped.pop(trial.number, None)
        record = TrialRecord.of(trial)
        measured = {name: result[name] for name in MEASURED}
        if result["warnings"]:
            measured["warnings"] = list(result["warnings"].values())
        if record.continues is not None:
            measured["seconds"] += by_hash(self.study)[record.hash].seconds or 0.0
        values = (result["miou"], *costs(self.settings.objectives, replace(record, **measured)))
        end(self.study, trial, outcome, values, **measured)
        if outcome == "complete":
            self._remove_state(record.hash)
        for template, text in result["warnings"].items():
            if template not in self.warned:
                self.warned.add(template)
                log.warning("%s: %s", _log_name(trial), text)
        self.progress.note(outcome, result["miou"] if outcome == "complete" else None, result["cached"])
        self._remove_checkpoints()

    def _fail(self, trial: optuna.Trial, reason: str, trace: str) -> None:
        log.warning("%s failed: %s", _log_name(trial), reason.splitlines()[0][:200] if reason else "no reason given")
        end(self.study, trial, "failed", reason=reason, traceback=trace)
        self.progress.note("failed", None)

    def _remove_checkpoints(self) -> None:
        """Keep the weights of the baselines and of the best few candidates only."""
        complete = [record for record in by_hash(self.study).values() if record.outcome == "complete"]
        best = {record.number for record in best_of_front(complete, self.settings.best)}
        for record in complete:
            if record.number not in best and record.baseline is None:
                self.checkpoint(record.hash).unlink(missing_ok=True)


def _log_name(trial: optuna.Trial) -> str:
    """Name of a trial at the beginning of a sentence."""
    record = TrialRecord.of(trial)
    return record.name.capitalize() if record.baseline is None else record.name
