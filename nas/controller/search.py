"""One session of a search: from a study and a pool to a ranking and an exported checkpoint."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from nas.controller.cached_features import log_cached_features, log_size
from nas.controller.constraints import broken_constraint, warnings_of_baselines
from nas.controller.contenders import Contender, affordable, contenders
from nas.controller.enqueue import queue_baselines, queue_best_of
from nas.controller.explore import Exploration, return_unfinished
from nas.controller.final_training import Exported, FinalTraining, finalists, score_on_test, with_final
from nas.controller.full_size import FullSizeTraining
from nas.controller.images import load_full_size
from nas.controller.messages import headline, log_method_advice, log_refused, warn_of_few_steps, warn_of_findings
from nas.controller.naive_baselines import with_naive_baselines
from nas.controller.planning import SearchPlan, make_plan
from nas.controller.progress import Progress
from nas.controller.ranking import rank
from nas.controller.repeats import Repeats
from nas.controller.screening import queue_promising
from nas.controller.starting_weights import log_weights, warn_of_missing, without
from nas.controller.timing import FINISHING, Clock
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
"""Study attribute: seconds that the last session took, and the seconds expected before its first candidate."""

LEFT_OUT = "left out"
"""Study attribute: networks whose ImageNet weights were missing when the run was started."""

HAS_COME = "the ImageNet weights of {} are there now: start a new run to include it"


@dataclass
class Search:
    """One session of a run.

    Attributes:
        data: the images at the size at which candidates are compared.
        clock: clock of this session.
        open_steps: whether the steps of a training may be reduced to fit a time limit.
        folds: folds that candidates are compared on, 0 for one validation split.
        expected: seconds that were expected when the search was planned, None without an estimate.
        planned_at: elapsed seconds at that moment.
        missing: networks whose ImageNet weights are missing, with the reasons. They are left out.
    """

    run: Run
    data: Any
    clock: Clock = field(default_factory=Clock)
    open_steps: bool = False
    folds: int = 0
    expected: float | None = None
    planned_at: float = 0.0
    missing: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folds = self.data.folds
        self.space: Recipe = self.run.space()

    def execute(self) -> pd.DataFrame:
        """Try candidates, rank them over seeds, train the winner and test it once; return the final table."""
        self._begin_log()
        with self.run.fast_writes():
            self.study = self._open_study()
            self.space = self._with_weights()
            with self._pool(self.data) as pool:
                log.info("%s", headline(self.run, self.data, pool.slots))
                plan = self._plan(pool)
                warn_of_few_steps(self.run.settings, self.clock.limit is not None)
                self._queue_first(plan)
                self._explore(pool, plan)
                entrants, table = self._rank(pool, plan)
                if self.run.settings.search_size is None:
                    table = self._export(pool, self.data, entrants, table)
            if self.run.settings.search_size is not None:
                full = load_full_size(self.run.settings, self.data)
                with self._pool(full) as pool:
                    table = self._export(pool, full, entrants, table)
        shutil.rmtree(self.run.folder / "cache", ignore_errors=True)
        return table

    def log_duration(self) -> None:
        """Log how long the session took, and store it beside the estimate."""
        taken = self.clock.elapsed() - self.planned_at
        parts = ""
        if self.expected is not None:
            parts = f": {duration(self.planned_at)} of preparation, {duration(taken)} of search"
            parts += f" (estimated {duration(self.expected)})"
        log.info("Done in %s%s.", duration(self.clock.elapsed()), parts)
        self.run.study().set_user_attr(TIMES, {"taken": taken, "expected": self.expected})

    def _begin_log(self) -> None:
        log_to_file(self.run.folder / "search.log")
        log_data(self.data, self.run.folder)
        warn_of_findings(self.data)
        log_weights(self.space, self.missing)
        log_cached_features(self.space, self._features)
        for unfinished in (self.run.folder / "checkpoints").glob(".*.tmp"):  # by a worker that was killed
            unfinished.unlink()

    @contextmanager
    def _pool(self, data: Any) -> Iterator[LocalPool]:
        """Context manager: the workers that train on images."""
        from nas.tasks.data import shared

        settings, folder = self.run.settings, self.run.folder
        with shared(data, settings.cache_gb, folder / "cache") as handle:
            work = TrainWork(handle, str(folder / "space.py"), features=str(self._features))
            with LocalPool(work, settings.workers, settings.workers_per_gpu, settings.hang_after) as pool:
                yield pool

    @property
    def _features(self) -> Path:
        """Folder of the cached features."""
        return self.run.folder / "cache" / "features"

    def _open_study(self) -> optuna.Study:
        settings = self.run.settings
        study = self.run.study()
        study.sampler = make_sampler(settings.sampler, settings.seed, priors(self.space))
        returned = return_unfinished(study)
        if returned:
            log.info("Queued again: %s that had not ended.", counted(returned, "candidate"))
        return study

    def _with_weights(self) -> Recipe:
        """The space without the networks whose ImageNet weights were missing when the run was started.

        Raises:
            UserError: weights that were there have gone.
        """
        left_out = self.study.user_attrs.get(LEFT_OUT, list(self.missing))
        for name in self.missing:
            if name not in left_out:
                raise UserError(self.missing[name])
        self.study.set_user_attr(LEFT_OUT, left_out)
        warn_of_missing(self.space, {name: self.missing.get(name, HAS_COME.format(name)) for name in left_out})
        return without(self.space, left_out)

    def _plan(self, pool: Pool) -> SearchPlan:
        """Plan the search, and store the settings and folds that a time limit has changed."""
        plan = make_plan(
            self.study, pool, self.space, self.run.settings, self.folds, self._is_allowed, self.clock, self.open_steps
        )
        if plan.paces is None:
            return plan
        self.folds = plan.folds
        if not used_budget(self.study):
            self.run.settings = replace(plan.settings, folds=plan.folds)
            self.run.settings.write(self.run.folder)
            self._store_folds()
        self.expected = min(plan.estimate.total, max(self.clock.remaining(), 0.0))
        self.planned_at = self.clock.elapsed()
        return plan

    def _store_folds(self) -> None:
        """Write the number of folds into the run's data record."""
        summary = self.data.summary
        if summary is not None and summary.folds != self.folds:
            self.data = replace(self.data, summary=replace(summary, folds=self.folds))
            write_data_record(self.data.summary, self.run.folder)

    def _is_allowed(self, candidate: Recipe) -> bool:
        """Whether a candidate meets the constraints and can be built."""
        try:
            return broken_constraint(self.space, candidate) is None and bool(self._costs(candidate))
        except Exception:  # spaces hold user code
            return False

    def _queue_first(self, plan: SearchPlan) -> None:
        """Queue the candidates that are tried before the sampler proposes any, once per run."""
        study, space, settings = self.study, self.space, self.run.settings
        if "space" in study.user_attrs:
            return
        queue_baselines(study, space, self._order_of_baselines(plan))
        if settings.warm_start is not None:
            queue_best_of(Run(settings.warm_start), study, space)
        if settings.screen is not None:
            queue_promising(study, space, settings.screen, self._costs, settings.seed)
        study.set_user_attr("space", Path(settings.space).name)
        study.set_user_attr("data", settings.data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(settings.objectives))
        check_images(study, self.data)

    def _order_of_baselines(self, plan: SearchPlan) -> list[int] | None:
        """With a time limit, the cheapest baselines come first, since not all may fit."""
        paces = () if plan.paces is None else plan.paces.baselines
        if self.clock.limit is None or plan.paces is None or len(paces) != len(self.space.baselines):
            return None
        return sorted(range(len(paces)), key=lambda i: paces[i].step)

    def _costs(self, candidate: Recipe) -> dict[str, Any]:
        """Parameters and multiply-adds of a candidate on this run's data."""
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
            # Images of the validation split that were trained on cannot be scored on.
            "labelled": list(data.taken_from_ranking),
            "understood": None if data.summary is None else data.summary.short(),
        }
        return {"run": self.run.folder.name, "space": Path(settings.space).name, "data": about}

    def _explore(self, pool: Pool, plan: SearchPlan) -> None:
        settings, study = self.run.settings, self.study
        for line in warnings_of_baselines(self.space):
            log.warning("%s.", line)
        progress = Progress(
            min(settings.budget, used_budget(study) + (plan.estimate.candidates or settings.budget)),
            "Searching",
            plan.estimate.exploring or None,
            plan.estimate.ranking + plan.estimate.final + FINISHING,
            self.clock.remaining,
        )
        deadline = plan.estimate.exploring_deadline(self.clock)
        exploration = Exploration(
            study=study,
            space=self.space,
            settings=settings,
            pool=pool,
            stopping=_stopping(settings, study),
            progress=progress,
            cost_of=self._costs,
            checkpoint=lambda digest: self.run.checkpoint(digest, settings.seed),
            in_time=lambda: self.clock.elapsed() < deadline,
            folds=self.folds,
            provenance=self._provenance(self.data),
            warned=log_method_advice(self.space, self.data),
        )
        try:
            exploration.run()
        finally:
            progress.close()
        log.info("Candidates: %s.", progress.summary())
        log_size(self._features)
        log_refused(study)

    def _rank(self, pool: Pool, plan: SearchPlan) -> tuple[list[Contender], pd.DataFrame]:
        """Train the contenders on several seeds; return them and their table."""
        study, settings = self.study, self.run.settings
        entrants = contenders(study, self.space, settings.best)
        if not entrants:
            raise UserError(_nothing_to_rank(study))
        after = plan.estimate.final + FINISHING
        progress = Progress(0, "Ranking over seeds", plan.estimate.ranking or None, after, self.clock.remaining)
        deadline = plan.estimate.ranking_deadline(self.clock)
        entrants, seeds = affordable(study, entrants, settings.repeats, deadline - self.clock.elapsed(), pool.slots)
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
                lambda: self.clock.elapsed() < deadline,
            ).run(entrants)
        finally:
            progress.close()
        table = rank(entrants, results, study)
        winner = table[table["winner"]].iloc[0]
        if not winner["values"]:
            raise UserError(f"every training of the ranking failed ({winner['error']}): see search.log")
        return entrants, table

    def _export(self, pool: Pool, data: Any, entrants: list[Contender], table: pd.DataFrame) -> pd.DataFrame:
        """Train and test the exported network, and write the final table.

        Args:
            pool: workers that train on `data`.
            data: the images at the size of the exported network.
        """
        from nas.tasks.naive import naive_baselines

        run, study, settings = self.run, self.study, self.run.settings
        exported = self._train_final(pool, data, entrants, table)
        test_miou = score_on_test(pool, exported.checkpoint, run.best_checkpoint)
        table = self._with_costs(with_final(table, study, exported, settings.full_steps), entrants)
        table = with_naive_baselines(table, naive_baselines(data, self.folds, settings.seed), test_miou)
        with replacing(run.folder / "ranking.csv") as path:
            table.drop(columns="values").to_csv(path)
        check()
        if len(study.directions) == 1 and is_open(self.space):
            study.set_user_attr(ATTRIBUTE, importance(study).to_data())
        check()
        return table

    def _train_final(self, pool: Pool, data: Any, entrants: list[Contender], table: pd.DataFrame) -> Exported:
        run, settings = self.run, replace(self.run.settings, repeats=self.seeds)
        provenance = self._provenance(data)
        if settings.search_size is not None:
            candidates = {contender.digest: contender.candidate for contender in entrants}
            scores = dict(zip(table["hash"], table["miou"], strict=True))
            best = {digest: candidates[digest] for digest in finalists(table)}
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
        """Add the costs of contenders that the search did not try."""
        unknown = [c for c in entrants if table.loc[table["hash"] == c.digest, "params"].isna().any()]
        for contender in unknown:
            costs = self._costs(from_json(contender.candidate))
            table.loc[table["hash"] == contender.digest, list(costs)] = list(costs.values())
        return table


def _nothing_to_rank(study: optuna.Study) -> str:
    reasons = [record.reason for record in records(study) if record.reason]
    last = f"; the last one: {reasons[-1].splitlines()[0]}" if reasons else ""
    return f"no candidate was trained in full, so there is nothing to rank{last}: see search.log"


def _stopping(settings: Settings, study: optuna.Study) -> StoppingRule:
    """Make the stopping rule; with several objectives it needs the costs of each trial."""
    if len(settings.objectives) == 1 or settings.stopping == "none":
        return make_stopping(settings.stopping, settings.full_steps, settings.seed)
    found: dict[int, tuple[float, ...]] = {}

    def costs(number: int) -> tuple[float, ...]:
        if number not in found:
            record = TrialRecord.of(study.get_trials(deepcopy=False)[number])
            found[number] = estimated_costs(settings.objectives, record)
        return found[number]

    return ParetoHalving(rungs_of(settings.full_steps), costs)
