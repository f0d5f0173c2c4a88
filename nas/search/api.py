"""A whole search, from a space to an exported checkpoint."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nas.components import know_components
from nas.errors import UserError
from nas.files import lock, replacing
from nas.interrupt import check, heeded, last_words
from nas.pool import UnguardedError, check_guard
from nas.search.data_record import keep_record, tell_data
from nas.search.importance import ATTRIBUTE, importance
from nas.search.run import Run, check_name, new_folder
from nas.search.settings import FEWEST_STEPS, Settings, settings_of, with_seconds
from nas.search.timing import LAST, NOTHING, Clock, Estimate, Paces, plan_text
from nas.search.unchanged import check_images, check_space, keep_space
from nas.space import Choice, Int, Recipe, find_space_file, is_open, load_space, parameters, priors
from nas.wording import counted, duration

__all__ = ["resume", "search"]

log = logging.getLogger("nas")

WIDE = 100_000
"""Whole numbers in a range beyond which a sampler that looks at each of them is refused."""

TIMES = "times"
"""Study attribute: seconds that the last sitting took, and that were expected before its first candidate."""

MAY_CHANGE = (
    *("budget", "max_time", "workers", "workers_per_gpu", "best", "repeats", "cache_gb", "hang_after"),
    *("final_steps", "data", "unlabelled", "labels"),
)
"""Settings that may change on resuming. Of the data it is the place that may: the images are compared."""


@heeded()
def search(
    space: str | Path,
    *,
    name: str | None = None,
    budget: int | None = None,
    data: str = "scenes",
    labels: str | int | Path | None = None,
    unlabelled: str | None = None,
    size: int | str | tuple[int, int] | None = None,
    group_classes: str | Path | dict[str, Any] | None = None,
    holdout: bool = True,
    seed: int = 0,
    objectives: tuple[str, ...] = ("miou",),
    latency_on: str | None = None,
    sampler: str = "surrogate",
    stopping: str = "halving",
    warm_start: str | Path | None = None,
    screen: int | None = None,
    steps: int | None = None,
    final_steps: int | None = None,
    folds: int | None = None,
    best: int = 3,
    repeats: int = 3,
    workers: int | None = None,
    workers_per_gpu: int = 2,
    max_time: float | str | None = None,
    storage: str | None = None,
    cache_gb: float = 4.0,
    hang_after: float | str = 3600.0,
    **unknown: Any,
) -> Run:
    """Search a space and return the finished run.

    Args:
        space: the space file, or the name of a shipped one such as "multitask.py".
        name: of the run's folder below `runs`; None makes one up from the space's name.
        budget: candidates to try; None is 200, and no limit where `max_time` is given.
        data: the labelled set: "scenes", "scenes:night" or KIND:PATH such as "folder:photos"; the kinds are folder,
            camvid, cityscapes, voc, ade20k and gta5.
        labels: which images are labelled: "all", a share such as "1/8", a number, or a list FILE.txt. None is "all" for
            a folder and beside `unlabelled`, else "1/8".
        unlabelled: another set, as for `data`, to learn from without labels, and to rank and test on.
        size: height and width in pixels at which images are used: (96, 128) or "96x128", or 128 for a square. None is
            the first image's size, or less if device and time cannot afford it; 48 x 64 for scenes.
        group_classes: fewer classes made of the set's own, such as {"vehicle": ["car", "bus"], "void": ["sky"]}, or a
            JSON file of that.
        holdout: whether images are held out to rank candidates on. False is for a single closed recipe, which is
            trained on the whole training split and scored on the test split.
        seed: of the sampler, the draw of labels and every training.
        objectives: "miou", and then what it is weighed against: "params", "macs", "latency", "memory", "seconds".
        latency_on: "cpu" or "cuda", where latency is measured; None is the device that trains.
        sampler: what proposes candidates: "surrogate", "evolution", "local", "random", "tpe", "gp", "cmaes", "nsga2",
            "nni:tpe" or "nni:evolution".
        stopping: what stops poor candidates early: "halving", "promotion", "adaptive", "curve", "hyperband" or "none".
        warm_start: the folder of an earlier run whose best candidates are tried after the baselines.
        screen: candidates to draw, of which the most promising tenth is tried next; None for none.
        steps: optimizer steps of a full training in the search; None decides by the number of labelled images.
        final_steps: optimizer steps of the best contenders' final training, 0 for none; None is three times `steps`, or
            what is left of `max_time`.
        folds: folds of the labelled images to score candidates on, 0 for one validation split; None is 3 where a split
            would be cut from fewer than 60 labelled images, else 0.
        best: candidates that are trained again at the end, beside the baselines.
        repeats: seeds that each of them is trained on.
        workers: worker processes on a machine without a GPU; None is one a core.
        workers_per_gpu: worker processes on each GPU.
        max_time: time for everything, ranking, final training and export included: seconds, or text such as "45m".
        storage: an Optuna storage URL; None is `study.db` in the run's folder.
        cache_gb: images that take more than so many gigabytes (10^9 bytes) are kept on disk while the search runs.
        hang_after: time without a word after which a worker is replaced: seconds, or text such as "45m".
        unknown: a name that is no setting, which is refused.

    Raises:
        UserError: when the input is unusable; nothing has been written then.
        KeyboardInterrupt: on Ctrl-C, within half a second; the run can be resumed.
    """
    given = {key: value for key, value in locals().items() if key not in ("space", "name", "unknown")}
    return _search(space, name, {**given, **unknown})


def _search(space: str | Path, name: str | None, settings: dict[str, Any]) -> Run:
    clock = Clock()
    check_guard()
    path = find_space_file(space)
    chosen = settings_of(**{**settings, "space": str(path)})
    clock.limit = chosen.max_time
    loaded = load_space(path)
    _check_holdout(chosen, loaded)
    _check_sampler(chosen, loaded)
    _check_start(chosen)
    studies = _studies_there(chosen)
    check_name(name, studies=studies)
    chosen = _with_groups(chosen)
    data = _load_data(chosen)
    _check_builds(loaded, data)
    _check_constraints(chosen, loaded)
    open_steps = chosen.steps is None
    chosen = replace(chosen, size=data.size).with_steps(len(data.labelled.images))
    folder = new_folder(str(space), name, studies=studies)
    replace(chosen, study=folder.name).write(folder)
    run = Run(folder)
    with _alone(folder):
        keep_space(run, path)
        try:
            return _Searching(run, data, clock, open_steps).through()
        except UnguardedError:
            shutil.rmtree(folder)
            raise


@heeded()
def resume(
    folder: str | Path,
    budget: int | None = None,
    *,
    max_time: float | str | None = None,
    workers: int | None = None,
    workers_per_gpu: int | None = None,
    best: int | None = None,
    repeats: int | None = None,
    final_steps: int | None = None,
    cache_gb: float | None = None,
    hang_after: float | str | None = None,
    data: str | None = None,
    unlabelled: str | None = None,
    labels: str | int | Path | None = None,
    **fixed: Any,
) -> Run:
    """Go on with a run where it stopped, or extend it to a larger budget.

    Settings that are None stay as they were, except `max_time`, which holds for this sitting alone.

    Args:
        folder: of the run.
        budget: candidates to try, those of earlier sittings included.
        max_time: time for this sitting: seconds, or text such as "45m"; None for no limit.
        workers: worker processes on a machine without a GPU.
        workers_per_gpu: worker processes on each GPU.
        best: candidates that are trained again at the end, beside the baselines.
        repeats: seeds that each of them is trained on.
        final_steps: optimizer steps of the best contenders' final training, 0 for none.
        cache_gb: images that take more than so many gigabytes (10^9 bytes) are kept on disk while the search runs.
        hang_after: time without a word after which a worker is replaced: seconds, or text such as "45m".
        data: the same labelled set, KIND:PATH, where it has moved.
        unlabelled: the same unlabelled set, where it has moved.
        labels: the same list of labelled images, where it has moved.
        fixed: settings that may not change, which are refused.

    Raises:
        UserError: when the folder is no run or one that is being searched, its space or images are not those it
            began with, or a setting may not change.
        KeyboardInterrupt: as `search`.
    """
    values = locals()
    return _resume(folder, {key: values[key] for key in MAY_CHANGE}, fixed)


def _resume(folder: str | Path, changes: dict[str, Any], fixed: dict[str, Any]) -> Run:
    changes = with_seconds(changes)
    clock = Clock(changes["max_time"])
    check_guard()
    refused = [name.replace("_", "-") for name, value in fixed.items() if value is not None]
    if refused:
        raise UserError(f"--{refused[0]} cannot change when a run is resumed: start a new run for that")
    given = {name: value for name, value in changes.items() if value is not None}
    run = Run(folder)
    check_space(run)
    # A limit on time holds for one sitting.
    run.settings = replace(run.settings, **{"max_time": None, **given}).checked()
    _check_sampler(run.settings, run.space())
    _studies_there(run.settings)
    with _alone(run.folder):
        data = _load_data(run.settings)
        if run.storage_exists():
            with run.written():
                check_images(run.study(), data)
        run.settings.write(run.folder)
        return _Searching(run, data, clock).through()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Inside it no other process searches the run.

    Raises:
        UserError: one does, or the folder cannot be written.
    """
    try:
        opened = (folder / "lock").open("w")
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}): copy the run to a folder of your own, or see to its rights"
        ) from error
    with opened as file:
        if not lock(file):
            raise UserError(f"{folder} is being searched by another process: wait for it to end, or stop it")
        yield


def _check_holdout(settings: Settings, space: Recipe) -> None:
    if not settings.holdout and (is_open(space) or space.baselines):
        raise UserError(
            "--no-holdout leaves only the test split to score on, by which nothing may be chosen: "
            "give a closed recipe without baselines"
        )


def _is_wide(domain: Any) -> bool:
    return isinstance(domain, Int) and domain.hi - domain.lo > WIDE


def _check_sampler(settings: Settings, space: Any) -> None:
    import torch

    from nas.search.samplers import SEVERAL_OBJECTIVES, make_sampler
    from nas.search.stopping import make_stopping

    make_sampler(settings.sampler, settings.seed)
    make_stopping(settings.stopping, 1, settings.seed)
    if len(settings.objectives) > 1:
        if settings.sampler not in SEVERAL_OBJECTIVES:
            able = ", ".join(SEVERAL_OBJECTIVES)
            raise UserError(f"--sampler {settings.sampler} serves one objective: choose from {able}")
        if settings.stopping not in ("halving", "none"):
            raise UserError(f"--stopping {settings.stopping} serves one objective: choose halving or none")
    if settings.latency_on == "cuda" and not torch.cuda.is_available():
        raise UserError("--latency-on cuda: there is no GPU here")
    if settings.sampler == "gp" and (wide := [p.path for p in parameters(space) if _is_wide(p.domain)]):
        raise UserError(f"--sampler gp looks at every whole number of a range: {wide[0]} has too many for it")
    if settings.sampler != "surrogate" and (believed := priors(space)):
        log.warning("Only --sampler surrogate takes account of priors: %s.", ", ".join(believed))


def _stopping(settings: Settings, study: Any) -> Any:
    """The rule of early stopping; that of several objectives knows what each trial costs."""
    from functools import cache

    from nas.search.objectives import estimated_costs
    from nas.search.stopping import ParetoHalving, make_stopping, rungs_of

    if len(settings.objectives) == 1 or settings.stopping == "none":
        return make_stopping(settings.stopping, settings.full_steps, settings.seed)

    @cache
    def costs(number: int) -> tuple[float, ...]:
        return estimated_costs(settings.objectives, study.get_trials(deepcopy=False)[number].user_attrs)

    return ParetoHalving(rungs_of(settings.full_steps), costs)


def _studies_there(settings: Settings) -> list[str]:
    """The names of the studies in a storage of the user's own.

    Raises:
        UserError: when it cannot be opened.
    """
    import optuna

    if settings.storage is None:
        return []
    try:
        return optuna.get_all_study_names(settings.storage)
    except Exception as error:  # of whichever database it is
        raise UserError(
            f"--storage {settings.storage} cannot be opened ({str(error).splitlines()[0]}): "
            "write an Optuna URL such as sqlite:////PATH/study.db"
        ) from error


def _check_builds(space: Recipe, data: Any) -> None:
    """Build what is given in full, and what the space leaves open in a few draws: a mistake in it is found at once."""
    from nas.search.tryout import check_options, try_candidate

    for i, baseline in enumerate(space.baselines):
        _build(space.baseline_names[i] or f"baselines.{i}", baseline, data)
    if not is_open(space):
        _build("the recipe", space.candidate(), data)
    else:
        check_options(space, lambda candidate: try_candidate(candidate, data))


def _build(name: str, recipe: Recipe, data: Any) -> None:
    from nas.models import build_network
    from nas.search.tryout import reason_of, take_a_step
    from nas.training import class_pixels, cost

    classes = len(data.classes)
    try:
        cost(recipe, data.size, classes)
        network = build_network(recipe, classes)
        for task in recipe.pretext:
            task.head(network.encoder.channels, network.encoder.reductions)
        recipe.loss.build(class_pixels(data.labelled, classes))
        recipe.method.build(network, classes)
        recipe.optimizer.build(network)
        take_a_step(recipe, data)
    except (Exception, SystemExit) as error:  # a space may hold parts of anyone's making
        raise UserError(f"{name} cannot be built: {reason_of(error)}") from error


def _check_constraints(settings: Settings, space: Recipe) -> None:
    from nas.search.tryout import check_constraints

    # Candidates of an earlier run may meet constraints that drawn ones hardly ever do.
    if settings.warm_start is None:
        check_constraints(space)


def _check_start(settings: Settings) -> None:
    from nas.search.firsts import best_of

    if settings.warm_start is not None:
        best_of(Run(settings.warm_start))


def _with_groups(settings: Settings) -> Settings:
    """The settings with the grouping of classes in the place of its file, which may change or go."""
    if settings.group_classes is None:
        return settings
    from tasks.data import read_groups

    return replace(settings, group_classes=read_groups(settings.group_classes))


def _load_data(settings: Settings) -> Any:
    from nas.pool.devices import visible_gpus
    from tasks.data import load_data
    from tasks.data.working_size import affordable_pixels

    device = "cuda" if settings.size is None and visible_gpus() else "cpu"
    return load_data(
        settings.data,
        labels=settings.labels,
        unlabelled=settings.unlabelled,
        size=settings.size,
        seed=settings.seed,
        cache_gb=settings.cache_gb,
        group_classes=settings.group_classes,
        holdout=settings.holdout,
        folds=settings.folds,
        most_pixels=affordable_pixels(device, settings.max_time),
    )


def _share(data: Any, settings: Settings, folder: Path) -> AbstractContextManager[Any]:
    from tasks.data import shared

    return shared(data, settings.cache_gb, folder / "cache")


@dataclass
class _Searching:
    """One sitting at a run."""

    run: Run
    data: Any
    clock: Clock = field(default_factory=Clock)
    open_steps: bool = False
    """Whether the steps of a training may still be shortened to fit a limit on time."""
    folds: int = 0
    estimate: Estimate = NOTHING
    expected: float | None = None
    """Seconds that were expected before the first candidate."""
    planned: float = 0.0
    """Seconds of the clock at that moment."""

    def through(self) -> Run:
        """Explore, rank, test the winner once, and write everything down; when interrupted, say how to go on."""
        stopped = f"Stopped; what was done is kept. Go on with: nas-search --resume {shlex.quote(str(self.run.folder))}"
        try:
            with last_words(stopped):
                self._through()
        except KeyboardInterrupt:
            log.info("%s", stopped)
            raise
        return self.run

    def _through(self) -> None:
        from nas.pool import LocalPool
        from nas.search.work import TrainWork

        self.folds = self.data.folds
        self._log_to_file()
        tell_data(self.data, self.run.folder)
        self._warn_of_dull_images()
        for left in (self.run.folder / "checkpoints").glob(".*.tmp"):  # by a worker that was stopped while it wrote
            left.unlink()
        settings, folder = self.run.settings, self.run.folder
        space = self.run.space()
        with self.run.written(), _share(self.data, settings, folder) as handle:
            study = self._study()
            work = TrainWork(handle, str(folder / "space.py"))
            with LocalPool(work, settings.workers, settings.workers_per_gpu, settings.hang_after) as pool:
                log.info("%s", self._headline(pool.slots))
                paces = self._plan(study, space, pool)
                self._warn_of_few_steps()
                self._begin(study, space, paces)
                self._explore(study, space, pool)
                self._finish(study, space, pool)
            self._tell_time(study)
        shutil.rmtree(folder / "cache", ignore_errors=True)

    def _plan(self, study: Any, space: Any, pool: Any) -> Paces | None:
        """Say how long the search will take, and fit it to a limit on time; what it was told from, if anything was."""
        from nas.search import trials
        from nas.search.explore import broken_constraint
        from nas.search.probe import probe
        from nas.search.stopping import make_stopping
        from nas.search.timing import estimate, fitted

        settings = self.run.settings
        budget = settings.budget - trials.spent(study)
        if budget <= 0:
            return None

        def allowed(candidate: Any) -> bool:
            try:
                return broken_constraint(space, candidate) is None and bool(self._costs(candidate))
            except Exception:  # a space may hold parts of anyone's making
                return False

        paces = probe(pool, space, settings.seed, self.folds, allowed, self.clock)
        if paces is None:
            return None
        if not trials.spent(study):
            settings, self.folds = fitted(settings, paces, pool.slots, self.folds, self.clock, self.open_steps)
            self.run.settings = replace(settings, folds=self.folds)
            self.run.settings.write(self.run.folder)
            self._correct_record()
        rule = make_stopping(settings.stopping, self.run.settings.full_steps, settings.seed)
        self.estimate = estimate(
            self.run.settings, paces, pool.slots, rule, self.folds, budget, not is_open(space), self.clock
        )
        if is_open(space) and self.estimate.candidates <= len(space.baselines) and not trials.spent(study):
            log.warning(
                "Only baselines will be tried, %d of %d: nothing is searched. Give more than that as --budget, or more "
                "time.",
                self.estimate.candidates,
                len(space.baselines),
            )
        settings = self.run.settings
        log.info("%s", plan_text(settings, paces, self.estimate, pool.slots, self.folds, self.clock, self.data.folds))
        self.expected = min(self.estimate.total, max(self.clock.left(), 0.0))
        self.planned = self.clock.spent()
        return paces

    def _correct_record(self) -> None:
        """Let the run's record of its data name the folds that a limit on time has left."""
        summary = self.data.summary
        if summary is not None and summary.folds != self.folds:
            self.data = replace(self.data, summary=replace(summary, folds=self.folds))
            keep_record(self.data.summary, self.run.folder)

    def _tell_time(self, study: Any) -> None:
        """Say how long the sitting took beside how long it was expected to take."""
        taken = self.clock.spent() - self.planned
        beside = (
            "" if self.expected is None else f", {duration(taken)} from the estimate of {duration(self.expected)} on"
        )
        log.info("Done in %s%s.", duration(self.clock.spent()), beside)
        study.set_user_attr(TIMES, {"taken": taken, "expected": self.expected})

    def _warn_of_dull_images(self) -> None:
        """Log what the quick check of the data finds beside the warnings of its summary."""
        from tasks.data.doctor import quick_check

        told = () if self.data.summary is None else self.data.summary.warnings
        for finding in quick_check(self.data):
            if finding.what not in told:
                log.warning("%s: %s. %s", finding.what, ", ".join(finding.where[:3]), finding.mend)

    def _warn_of_few_steps(self) -> None:
        steps = self.run.settings.full_steps
        if steps < FEWEST_STEPS:
            more = "time (--max-time)" if self.clock.limit is not None else "--steps"
            log.warning(
                "A training of %d steps is short: with few labels scores settle at some %d. Give more %s, or a "
                "smaller --size.",
                steps,
                FEWEST_STEPS,
                more,
            )

    def _headline(self, slots: int) -> str:
        data, settings = self.data, self.run.settings
        unlabelled, validation = len(data.unlabelled.images), len(data.validation.images)
        scored = "ranked on" if settings.holdout else "scored on the test split's"
        out = sum(out.count for out in data.summary.left_out) if data.summary else 0
        unused = f", {out} left out" if out else ""
        return (
            f"Searching {Path(settings.space).name} on {data.name}, {data.size[0]}x{data.size[1]}: "
            f"{len(data.labelled.images)} labelled and {unlabelled} unlabelled images{unused}, "
            f"{scored} {validation}, {counted(slots, 'worker')}, run {self.run.folder}"
        )

    def _log_to_file(self) -> None:
        target = (self.run.folder / "search.log").resolve()
        for old in [h for h in log.handlers if isinstance(h, logging.FileHandler)]:
            log.removeHandler(old)
            old.close()
        handler = logging.FileHandler(target, encoding="utf-8", errors="backslashreplace")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)

    def _study(self) -> Any:

        from nas.search.explore import return_unfinished
        from nas.search.samplers import make_sampler

        settings, space = self.run.settings, self.run.space()
        study = self.run.study()
        study.sampler = make_sampler(settings.sampler, settings.seed, priors(space))
        returned = return_unfinished(study)
        if returned:
            log.info("%s queued again, which had not ended.", counted(returned, "candidate"))
        return study

    def _begin(self, study: Any, space: Any, paces: Paces | None) -> None:
        """Queue what is tried first, once in a run's life."""
        import optuna

        from nas.search.firsts import queue_baselines

        if "space" in study.user_attrs:
            return
        settings = self.run.settings
        order = None
        if paces is not None and self.clock.limit is not None and len(paces.baselines) == len(space.baselines):
            # Where the time may not suffice for all, the cheap ones are the surest.
            order = sorted(range(len(space.baselines)), key=lambda i: paces.baselines[i].step)
        queue_baselines(study, space, order)
        self._queue_winners(study, space)
        self._queue_promising(study, space)
        study.set_user_attr("space", Path(settings.space).name)
        study.set_user_attr("data", settings.data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(settings.objectives))
        check_images(study, self.data)

    def _queue_winners(self, study: Any, space: Any) -> None:
        """Have the best of an earlier run tried next."""
        from nas.search.firsts import best_of, queue_winners

        earlier = self.run.settings.warm_start
        if earlier is None:
            return
        know_components()
        winners = best_of(Run(earlier))
        queued = queue_winners(study, space, winners)
        found = counted(len(winners), "best candidate")
        log.info("%s of %s; points of this space: %d.", found, os.path.relpath(earlier), queued)

    def _queue_promising(self, study: Any, space: Any) -> None:
        """Have the most promising of many drawn candidates tried next."""
        from tqdm import tqdm

        from nas.search.screening import queue_promising

        wanted = self.run.settings.screen
        if wanted is None:
            return
        with tqdm(total=wanted, desc="Screening", unit="candidate", ncols=80, leave=False, disable=None) as bar:
            drawn, queued = queue_promising(study, space, wanted, self._costs, self.run.settings.seed, bar.update)
        log.info("Of %d candidates drawn, the %d most promising are tried first.", drawn, queued)

    def _costs(self, candidate: Any) -> dict[str, Any]:
        """Parameters and multiply-adds of a candidate, on this run's data."""
        from nas.training import cost

        found = cost(candidate, self.data.size, len(self.data.classes))
        return {"params": found.params, "macs": found.macs}

    def _provenance(self) -> dict[str, Any]:
        settings = self.run.settings
        data = {
            "spec": settings.data,
            "labels": settings.labels,
            "unlabelled": settings.unlabelled,
            "size": list(self.data.size),
            "group_classes": settings.group_classes,
            "seed": settings.seed,
            "holdout": settings.holdout,
            "folds": self.folds,
            "fingerprint": self.data.fingerprint,
            "native": self.data.native,
            # Held out for ranking, they are no measure of what they trained.
            "labelled": list(self.data.taken),
            "understood": None if self.data.summary is None else self.data.summary.short(),
        }
        return {"run": self.run.folder.name, "space": Path(settings.space).name, "data": data}

    def _explore(self, study: Any, space: Any, pool: Any) -> None:
        from nas.search import trials
        from nas.search.explore import Exploration, outside_constraints
        from nas.search.progress import Progress

        settings = self.run.settings
        for line in outside_constraints(space):
            log.warning("%s.", line)
        progress = Progress(
            min(settings.budget, trials.spent(study) + (self.estimate.candidates or settings.budget)),
            "Searching",
            self.estimate.exploring or None,
            self.estimate.ranking + self.estimate.final + LAST,
            self.clock.left,
        )
        ends = self.estimate.exploring_ends(self.clock)
        exploration = Exploration(
            study=study,
            space=space,
            settings=settings,
            pool=pool,
            halving=_stopping(settings, study),
            progress=progress,
            cost_of=self._costs,
            checkpoint=lambda digest: self.run.checkpoint(digest, settings.seed),
            in_time=lambda: self.clock.spent() < ends,
            folds=self.folds,
            provenance=self._provenance(),
            warned=self._advise(space),
        )
        try:
            exploration.run()
        finally:
            progress.close()
        log.info("Candidates: %s.", progress.summary())
        self._say_what_was_refused(study)

    def _say_what_was_refused(self, study: Any) -> None:
        from nas.search import trials

        refused = trials.refused(study)
        if refused:
            draws, last = counted(len(refused), "draw"), refused[-1].user_attrs["reason"]
            log.info("Besides these, %s not trained, the last because %s.", draws, last)

    def _advise(self, space: Any) -> set[str]:
        """Say what the space's methods need to have said of this data; returns it."""
        labelled, unlabelled = len(self.data.labelled.images), len(self.data.unlabelled.images)
        methods = space.method.options if isinstance(space.method, Choice) else (space.method,)
        advice = {type(method).__name__: method.advice(labelled, unlabelled) for method in methods}
        given = {name: text for name, text in advice.items() if text}
        if given and not unlabelled:
            log.warning("No unlabelled images: supervised training stands in for %s.", ", ".join(given))
        else:
            for text in dict.fromkeys(given.values()):
                log.warning("%s.", text)
        return set(given.values())

    def _finish(self, study: Any, space: Any, pool: Any) -> None:
        """Rank the best few and the baselines over seeds; test the winner, once, and export it."""
        from nas.search.final import FinalTraining, with_final
        from nas.search.naive import with_naive
        from nas.search.progress import Progress
        from nas.search.ranking import affordable, contenders, rank, repeat
        from tasks.naive import naive_baselines

        entrants = contenders(study, space, self.run.settings.best)
        if not entrants:
            reasons = [t.user_attrs["reason"] for t in study.get_trials(deepcopy=False) if t.user_attrs.get("reason")]
            last = f"; the last one: {reasons[-1].splitlines()[0]}" if reasons else ""
            raise UserError(f"no candidate was trained to its end, so there is nothing to rank{last}: see search.log")
        settings, run = self.run.settings, self.run
        progress = Progress(
            0, "Ranking over seeds", self.estimate.ranking or None, self.estimate.final + LAST, self.clock.left
        )
        ends = self.estimate.ranking_ends(self.clock)
        entrants, seeds = affordable(study, entrants, settings.repeats, ends - self.clock.spent(), pool.slots)
        settings = replace(settings, repeats=seeds)
        try:
            results = repeat(
                study,
                pool,
                entrants,
                settings,
                run.checkpoint,
                self._provenance(),
                progress,
                self.folds,
                lambda: self.clock.spent() < ends,
            )
        finally:
            progress.close()
        table = rank(entrants, results, study)
        winner = table[table["winner"]].iloc[0]
        if not winner["values"]:
            raise UserError(f"every final training failed ({winner['error']}): see search.log")
        exported = FinalTraining(
            study,
            pool,
            settings,
            self.folds,
            entrants,
            table,
            run.checkpoint,
            run.final_checkpoint,
            self._provenance(),
            self.clock,
        ).run()
        tested = self._test(exported.checkpoint, pool)
        table = self._with_costs(with_final(table, study, exported, settings.full_steps), entrants)
        table = with_naive(table, naive_baselines(self.data, self.folds, settings.seed), tested)
        with replacing(run.folder / "ranking.csv") as path:
            table.drop(columns="values").to_csv(path)
        check()
        if len(study.directions) == 1 and is_open(space):
            study.set_user_attr(ATTRIBUTE, importance(study).to_data())
        check()
        self._report(table)

    def _with_costs(self, table: Any, entrants: Any) -> Any:
        """The table with the size of contenders that the search has not come to."""
        from nas.space import from_json

        unknown = [c for c in entrants if table.loc[table["hash"] == c.digest, "params"].isna().any()]
        for contender in unknown:
            costs = self._costs(from_json(contender.candidate))
            table.loc[table["hash"] == contender.digest, list(costs)] = list(costs.values())
        return table

    def _test(self, winner: Path, pool: Any) -> float:
        """The winner's mIoU on the test split, the only time it is read."""
        from nas.pool import Done, Failed, Infeasible, Job, Lost
        from nas.search.work import FinalTest

        pool.submit(Job(0, FinalTest(str(winner), str(self.run.best_checkpoint))))
        while True:
            for message in pool.messages(timeout=1.0):
                if isinstance(message, Done):
                    return float(message.result["miou"])
                if isinstance(message, Failed | Infeasible | Lost):
                    raise UserError(f"the winner could not be tested: {message.reason}")

    def _report(self, table: Any) -> None:
        from nas.report import ranking_text, unbeaten_text, write_report

        write_report(self.run)
        for line in ranking_text(table, self.run).splitlines():
            log.info("%s", line)
        # A warning, which a script sees as well.
        if unbeaten := unbeaten_text(table):
            log.warning("%s", unbeaten)


class _AboveBars(logging.StreamHandler):
    """Writes lines above the progress bars, not into them."""

    def emit(self, record: logging.LogRecord) -> None:
        if "tqdm" not in sys.modules:
            super().emit(record)
            return
        from tqdm import tqdm

        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)


def log_to_terminal(stream: Any = None) -> Callable[[], None]:
    """Show the search's log on a terminal; returns what takes it away again."""
    handler = _AboveBars(stream or sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    return lambda: log.removeHandler(handler)
