"""One search: from a study and a pool to a ranking and an exported checkpoint."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from tqdm import tqdm

from nas.components import know_components
from nas.controller.contenders import Contender, affordable, contenders
from nas.controller.enqueue import best_of, queue_baselines, queue_winners
from nas.controller.explore import Exploration, broken_constraint, outside_constraints, return_unfinished
from nas.controller.final_training import FinalTraining, Outcome, finalists, score_on_test, with_final
from nas.controller.full_size import FullSizeTraining
from nas.controller.images import load_full_size
from nas.controller.messages import advise, headline, log_refused, warn_of_few_steps, warn_of_findings
from nas.controller.naive_baselines import with_naive
from nas.controller.probe import probe
from nas.controller.progress import Progress
from nas.controller.ranking import rank
from nas.controller.repeats import Repeats
from nas.controller.screening import queue_promising
from nas.controller.timing import LAST, NOTHING, Clock, Estimate, Paces, estimate, fitted, plan_text
from nas.controller.work import TrainWork
from nas.errors import UserError
from nas.files import replacing
from nas.insight.effects import ATTRIBUTE
from nas.insight.importance import importance
from nas.interrupt import check
from nas.logs import log_to_file
from nas.pool import LocalPool, Pool
from nas.record import TrialRecord, records, used_budget
from nas.runs.data_record import log_data, write_data_record
from nas.runs.inputs import check_images
from nas.runs.objectives import estimated_costs
from nas.runs.run import Run
from nas.runs.settings import Settings
from nas.samplers import make_sampler
from nas.space import Recipe, from_json, is_open, priors
from nas.stopping import ParetoHalving, StoppingRule, make_stopping, rungs_of
from nas.wording import counted, duration

__all__ = ["TIMES", "Search"]

log = logging.getLogger("nas")

TIMES = "times"
"""Study attribute: seconds that the last sitting took, and that were expected before its first candidate."""


@dataclass
class Search:
    """One sitting at a run.

    Attributes:
        data: the images, at the size at which candidates are compared.
        clock: of this sitting.
        open_steps: whether the steps of a training may still be shortened to fit a limit on time.
        folds: folds that candidates are compared on, 0 for one validation split.
        estimate: seconds of each part of the search.
        expected: seconds that were expected before the first candidate.
        planned: seconds of the clock at that moment.
    """

    run: Run
    data: Any
    clock: Clock = field(default_factory=Clock)
    open_steps: bool = False
    folds: int = 0
    estimate: Estimate = NOTHING
    expected: float | None = None
    planned: float = 0.0

    def __post_init__(self) -> None:
        self.folds = self.data.folds
        self.space: Recipe = self.run.space()

    def execute(self) -> pd.DataFrame:
        """Explore, rank over seeds, train the winner and test it once; return the final table."""
        self._begin_log()
        with self.run.fast_writes():
            self.study = self._open_study()
            with self._pool(self.data, self.run.settings.workers) as pool:
                log.info("%s", headline(self.run, self.data, pool.slots))
                paces = self._plan(pool)
                warn_of_few_steps(self.run.settings, self.clock.limit is not None)
                self._queue_first(paces)
                self._explore(pool)
                entrants, table = self._rank(pool)
                if self.run.settings.search_size is None:
                    table = self._export(pool, self.data, entrants, table)
            if self.run.settings.search_size is not None:
                full = load_full_size(self.run.settings, self.data)
                with self._pool(full, self.run.settings.workers) as pool:
                    table = self._export(pool, full, entrants, table)
        shutil.rmtree(self.run.folder / "cache", ignore_errors=True)
        return table

    def log_duration(self) -> None:
        """Log how long the sitting took, beside how long it was expected to take."""
        taken = self.clock.spent() - self.planned
        beside = (
            "" if self.expected is None else f", {duration(taken)} from the estimate of {duration(self.expected)} on"
        )
        log.info("Done in %s%s.", duration(self.clock.spent()), beside)
        self.run.study().set_user_attr(TIMES, {"taken": taken, "expected": self.expected})

    def _begin_log(self) -> None:
        log_to_file(self.run.folder / "search.log")
        log_data(self.data, self.run.folder)
        warn_of_findings(self.data)
        for left in (self.run.folder / "checkpoints").glob(".*.tmp"):  # by a worker that was stopped while it wrote
            left.unlink()

    @contextmanager
    def _pool(self, data: Any, slots: int | None) -> Iterator[LocalPool]:
        """Workers that train on images."""
        from nas.tasks.data import shared

        settings, folder = self.run.settings, self.run.folder
        with shared(data, settings.cache_gb, folder / "cache") as handle:
            work = TrainWork(handle, str(folder / "space.py"))
            with LocalPool(work, slots, settings.workers_per_gpu, settings.hang_after) as pool:
                yield pool

    def _open_study(self) -> optuna.Study:
        settings = self.run.settings
        study = self.run.study()
        study.sampler = make_sampler(settings.sampler, settings.seed, priors(self.space))
        returned = return_unfinished(study)
        if returned:
            log.info("%s queued again, which had not ended.", counted(returned, "candidate"))
        return study

    def _plan(self, pool: Pool) -> Paces | None:
        """Say how long the search will take, and fit it to a limit on time; return the paces that were measured."""
        settings, study = self.run.settings, self.study
        budget, searched = settings.budget - used_budget(study), is_open(self.space)
        if budget <= 0:
            return None
        paces = probe(pool, self.space, settings.seed, self.folds, self._is_allowed, self.clock)
        if paces is None:
            return None
        if not used_budget(study):
            settings, self.folds = fitted(
                settings, paces, pool.slots, self.folds, self.clock, self.open_steps, searched
            )
            settings = self.run.settings = replace(settings, folds=self.folds)
            settings.write(self.run.folder)
            self._correct_record()
        rule = partial(make_stopping, settings.stopping, settings.full_steps, settings.seed)
        self.estimate = estimate(settings, paces, pool.slots, rule, self.folds, budget, not searched, self.clock)
        baselines = len(self.space.baselines)
        if searched and self.estimate.candidates <= baselines and not used_budget(study):
            log.warning(
                "Only baselines will be tried, %d of %d: nothing is searched. Give more than that as --budget, or more "
                "time.",
                self.estimate.candidates,
                baselines,
            )
        log.info("%s", plan_text(settings, paces, self.estimate, pool.slots, self.folds, self.clock, self.data.folds))
        self.expected = min(self.estimate.total, max(self.clock.left(), 0.0))
        self.planned = self.clock.spent()
        return paces

    def _correct_record(self) -> None:
        """Write the folds that a limit on time has left into the run's record of its data."""
        summary = self.data.summary
        if summary is not None and summary.folds != self.folds:
            self.data = replace(self.data, summary=replace(summary, folds=self.folds))
            write_data_record(self.data.summary, self.run.folder)

    def _is_allowed(self, candidate: Recipe) -> bool:
        """Whether a candidate meets the constraints and can be built."""
        try:
            return broken_constraint(self.space, candidate) is None and bool(self._costs(candidate))
        except Exception:  # a space may hold parts of anyone's making
            return False

    def _queue_first(self, paces: Paces | None) -> None:
        """Enqueue what is tried before the sampler is asked, once in a run's life."""
        study, space, settings = self.study, self.space, self.run.settings
        if "space" in study.user_attrs:
            return
        order = None
        if paces is not None and self.clock.limit is not None and len(paces.baselines) == len(space.baselines):
            # Where the time may not suffice for all, the cheap ones are the surest.
            order = sorted(range(len(space.baselines)), key=lambda i: paces.baselines[i].step)
        queue_baselines(study, space, order)
        self._queue_winners()
        self._queue_promising()
        study.set_user_attr("space", Path(settings.space).name)
        study.set_user_attr("data", settings.data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(settings.objectives))
        check_images(study, self.data)

    def _queue_winners(self) -> None:
        """Enqueue the best of an earlier run."""
        earlier = self.run.settings.warm_start
        if earlier is None:
            return
        know_components()
        winners = best_of(Run(earlier))
        queued = queue_winners(self.study, self.space, winners)
        found = counted(len(winners), "best candidate")
        log.info("%s of %s; points of this space: %d.", found, os.path.relpath(earlier), queued)

    def _queue_promising(self) -> None:
        """Enqueue the most promising of many drawn candidates."""
        wanted = self.run.settings.screen
        if wanted is None:
            return
        with tqdm(total=wanted, desc="Screening", unit="candidate", ncols=80, leave=False, disable=None) as bar:
            seed = self.run.settings.seed
            drawn, queued = queue_promising(self.study, self.space, wanted, self._costs, seed, bar.update)
        log.info("Of %d candidates drawn, the %d most promising are tried first.", drawn, queued)

    def _costs(self, candidate: Recipe) -> dict[str, Any]:
        """Parameters and multiply-adds of a candidate, on this run's data."""
        from nas.training import cost

        found = cost(candidate, self.data.size, len(self.data.classes))
        return {"params": found.params, "macs": found.macs}

    def _provenance(self, data: Any) -> dict[str, Any]:
        settings = self.run.settings
        about = {
            "spec": settings.data,
            "labels": settings.labels,
            "unlabelled": settings.unlabelled,
            "size": list(data.size),
            "group_classes": settings.group_classes,
            "seed": settings.seed,
            "holdout": settings.holdout,
            "folds": self.folds,
            "fingerprint": data.fingerprint,
            "native": data.native,
            # Held out for ranking, they are no measure of what they trained.
            "labelled": list(data.taken_from_ranking),
            "understood": None if data.summary is None else data.summary.short(),
        }
        return {"run": self.run.folder.name, "space": Path(settings.space).name, "data": about}

    def _explore(self, pool: Pool) -> None:
        settings, study = self.run.settings, self.study
        for line in outside_constraints(self.space):
            log.warning("%s.", line)
        progress = Progress(
            min(settings.budget, used_budget(study) + (self.estimate.candidates or settings.budget)),
            "Searching",
            self.estimate.exploring or None,
            self.estimate.ranking + self.estimate.final + LAST,
            self.clock.left,
        )
        ends = self.estimate.exploring_ends(self.clock)
        exploration = Exploration(
            study=study,
            space=self.space,
            settings=settings,
            pool=pool,
            stopping=_stopping(settings, study),
            progress=progress,
            cost_of=self._costs,
            checkpoint=lambda digest: self.run.checkpoint(digest, settings.seed),
            in_time=lambda: self.clock.spent() < ends,
            folds=self.folds,
            provenance=self._provenance(self.data),
            warned=advise(self.space, self.data),
        )
        try:
            exploration.run()
        finally:
            progress.close()
        log.info("Candidates: %s.", progress.summary())
        log_refused(study)

    def _rank(self, pool: Pool) -> tuple[list[Contender], pd.DataFrame]:
        """Train the best few and the baselines on several seeds; return them and their table."""
        study, settings = self.study, self.run.settings
        entrants = contenders(study, self.space, settings.best)
        if not entrants:
            raise UserError(_nothing_to_rank(study))
        after = self.estimate.final + LAST
        progress = Progress(0, "Ranking over seeds", self.estimate.ranking or None, after, self.clock.left)
        ends = self.estimate.ranking_ends(self.clock)
        entrants, seeds = affordable(study, entrants, settings.repeats, ends - self.clock.spent(), pool.slots)
        self.seeds = seeds
        try:
            results = Repeats(
                study,
                pool,
                replace(settings, repeats=seeds),
                self.run.checkpoint,
                self._provenance(self.data),
                progress,
                self.folds,
                lambda: self.clock.spent() < ends,
            ).run(entrants)
        finally:
            progress.close()
        table = rank(entrants, results, study)
        winner = table[table["winner"]].iloc[0]
        if not winner["values"]:
            raise UserError(f"every final training failed ({winner['error']}): see search.log")
        return entrants, table

    def _export(self, pool: Pool, data: Any, entrants: list[Contender], table: pd.DataFrame) -> pd.DataFrame:
        """Train what is exported, test it, once, and write the final table.

        Args:
            pool: its workers train on `data`.
            data: the images at the size of the exported network.
        """
        from nas.tasks.naive import naive_baselines

        run, study, settings = self.run, self.study, self.run.settings
        exported = self._final_training(pool, data, entrants, table)
        tested = score_on_test(pool, exported.checkpoint, run.best_checkpoint)
        table = self._with_costs(with_final(table, study, exported, settings.full_steps), entrants)
        table = with_naive(table, naive_baselines(data, self.folds, settings.seed), tested)
        with replacing(run.folder / "ranking.csv") as path:
            table.drop(columns="values").to_csv(path)
        check()
        if len(study.directions) == 1 and is_open(self.space):
            study.set_user_attr(ATTRIBUTE, importance(study).to_data())
        check()
        return table

    def _final_training(self, pool: Pool, data: Any, entrants: list[Contender], table: pd.DataFrame) -> Outcome:
        run, settings = self.run, replace(self.run.settings, repeats=self.seeds)
        provenance = self._provenance(data)
        if settings.search_size is not None:
            stored = {contender.digest: contender.candidate for contender in entrants}
            scores = dict(zip(table["hash"], table["miou"], strict=True))
            best = {digest: stored[digest] for digest in finalists(table)}
            training = FullSizeTraining(
                self.study,
                pool,
                settings,
                self.folds,
                run.final_checkpoint,
                provenance,
                self.clock,
                len(data.labelled.images),
            )
            return training.run(best, scores)
        return FinalTraining(
            self.study,
            pool,
            settings,
            self.folds,
            entrants,
            table,
            run.checkpoint,
            run.final_checkpoint,
            provenance,
            self.clock,
        ).run()

    def _with_costs(self, table: pd.DataFrame, entrants: list[Contender]) -> pd.DataFrame:
        """The table with the size of contenders that the search has not come to."""
        unknown = [c for c in entrants if table.loc[table["hash"] == c.digest, "params"].isna().any()]
        for contender in unknown:
            costs = self._costs(from_json(contender.candidate))
            table.loc[table["hash"] == contender.digest, list(costs)] = list(costs.values())
        return table


def _nothing_to_rank(study: optuna.Study) -> str:
    reasons = [record.reason for record in records(study) if record.reason]
    last = f"; the last one: {reasons[-1].splitlines()[0]}" if reasons else ""
    return f"no candidate was trained to its end, so there is nothing to rank{last}: see search.log"


def _stopping(settings: Settings, study: optuna.Study) -> StoppingRule:
    """The rule of early stopping; that of several objectives knows what each trial costs."""
    if len(settings.objectives) == 1 or settings.stopping == "none":
        return make_stopping(settings.stopping, settings.full_steps, settings.seed)
    found: dict[int, tuple[float, ...]] = {}

    def costs(number: int) -> tuple[float, ...]:
        if number not in found:
            record = TrialRecord.of(study.get_trials(deepcopy=False)[number])
            found[number] = estimated_costs(settings.objectives, record)
        return found[number]

    return ParetoHalving(rungs_of(settings.full_steps), costs)
