"""`nas.search` and `nas.resume`: a whole search, from a space to an exported checkpoint and a report."""

from __future__ import annotations

import logging
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.controller.images import load_images, with_groups, with_sizes
from nas.controller.timing import Clock
from nas.errors import UserError
from nas.files import lock
from nas.interrupt import deferred, exit_message
from nas.pool import UnguardedError, check_guard
from nas.runs.inputs import check_images, check_space, keep_space
from nas.runs.run import Run, check_name, new_folder
from nas.runs.settings import settings_of, with_seconds
from nas.space import find_space_file, is_open, load_space
from nas.weights_folder import weights_from

if TYPE_CHECKING:
    from nas.controller.search import Search

__all__ = ["resume", "search"]

log = logging.getLogger("nas")

MAY_CHANGE = (
    *("budget", "max_time", "workers", "workers_per_gpu", "best", "repeats", "cache_gb", "hang_after"),
    *("final_steps", "data", "unlabelled", "labels", "weights_dir"),
)
"""Settings that may change when a run is resumed. The data may move, but its images must be the same."""


@deferred()
def search(
    space: str | Path,
    *,
    name: str | None = None,
    budget: int | None = None,
    data: str = "scenes",
    labels: str | int | Path | None = None,
    unlabelled: str | None = None,
    size: int | str | tuple[int, int] | None = None,
    search_size: int | str | tuple[int, int] | None = None,
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
    weights_dir: str | Path | None = None,
    cache_gb: float = 4.0,
    hang_after: float | str = 3600.0,
    **unknown: Any,
) -> Run:
    """Search a space and return the finished run.

    Args:
        space: space file, or the name of a shipped one such as "multitask.py".
        name: name of the run's folder under `runs/`. None derives one from the space's name.
        budget: candidates to try. None is 200, or unlimited with `max_time`.
        data: labelled set: "scenes", "scenes:night" or KIND:PATH such as "folder:photos". The kinds are folder, camvid,
            cityscapes, voc, ade20k and gta5.
        labels: labelled images: "all", a share such as "1/8", a number, or a list FILE.txt. None is "all" for a folder
            or with `unlabelled`, else "1/8".
        unlabelled: another set, written like `data`, for unlabelled images. Candidates are ranked and tested on it.
        size: height and width in pixels at which images are used: (96, 128) or "96x128", or 128 for a square. None is
            the first image's size, reduced if device and time cannot afford it; 48 x 64 for scenes.
        search_size: size at which candidates are compared, written like `size`. The winner is trained at `size` in the
            end. None is `size`; on a CPU without a given `size` it is smaller, so that more candidates can be tried.
        group_classes: fewer classes made of the set's own, such as {"vehicle": ["car", "bus"], "void": ["sky"]}, or a
            JSON file of that.
        holdout: whether images are held out to rank candidates on. False is for a single closed recipe, which is
            trained on the whole training split and scored on the test split.
        seed: seed of the sampler, the choice of labels and every training.
        objectives: "miou" first, then costs: "params", "macs", "latency", "memory", "seconds".
        latency_on: device to measure latency on, "cpu" or "cuda". None is the device that trains.
        sampler: proposes candidates: "surrogate", "evolution", "local", "random", "tpe", "gp", "cmaes", "nsga2",
            "nni:tpe" or "nni:evolution".
        stopping: early stopping rule: "halving", "promotion", "adaptive", "curve", "hyperband" or "none".
        warm_start: folder of an earlier run whose best candidates are tried after the baselines.
        screen: number of candidates to draw. The most promising tenth is tried after the baselines. None for no
            screening.
        steps: optimizer steps of a full training in the search. None chooses by the number of labelled images.
        final_steps: optimizer steps of the final training of the best contenders, 0 for none. None is three times
            `steps`, or what `max_time` leaves.
        folds: folds of the labelled images to score candidates on, 0 for one validation split. None is 3 where a split
            would be cut from fewer than 60 labelled images, else 0.
        best: candidates to rank at the end, beside the baselines.
        repeats: seeds that each of them is trained on.
        workers: worker processes on a machine without a GPU. None is one per core.
        workers_per_gpu: worker processes on each GPU.
        max_time: limit on the time of everything, ranking, final training and export included: seconds, or text such as
            "45m".
        storage: Optuna storage URL. None is `study.db` in the run's folder.
        weights_dir: folder of pretrained weight files. None is that of the environment variable NAS_WEIGHTS.
        cache_gb: images that take more gigabytes (10^9 bytes) than this are kept on disk while the search runs.
        hang_after: time without a message after which a worker is replaced: seconds, or text such as "45m".
        unknown: any other name, which is refused.

    Raises:
        UserError: the input is unusable; nothing has been written.
        KeyboardInterrupt: on Ctrl-C, within half a second; the run can be resumed.
    """
    given = {key: value for key, value in locals().items() if key not in ("space", "name", "unknown")}
    with weights_from(weights_dir):
        return _search(space, name, {**given, **unknown})


def _search(space: str | Path, name: str | None, settings: dict[str, Any]) -> Run:
    from nas.controller.checks import check_builds, check_holdout, check_sampler, check_warm_start, study_names
    from nas.controller.search import Search
    from nas.controller.starting_weights import check_weights
    from nas.controller.tryout import check_constraints

    clock = Clock()
    check_guard()
    path = find_space_file(space)
    chosen = settings_of(**{**settings, "space": str(path)})
    clock.limit = chosen.max_time
    loaded = load_space(path)
    check_holdout(chosen, loaded)
    check_sampler(chosen, loaded)
    check_warm_start(chosen)
    studies = study_names(chosen)
    check_name(name, studies=studies)
    chosen = with_groups(chosen)
    data = load_images(chosen, searched=is_open(loaded))
    check_weights(loaded)
    check_builds(loaded, data)
    if chosen.warm_start is None:
        # Random candidates may all break a constraint that those of an earlier run meet.
        check_constraints(loaded)
    open_steps = chosen.steps is None
    chosen = with_sizes(chosen, data).with_steps(len(data.labelled.images))
    folder = new_folder(str(space), name, studies=studies)
    replace(chosen, study=folder.name).write(folder)
    run = Run(folder)
    with _locked(folder):
        keep_space(run, path)
        try:
            return _execute(Search(run, data, clock, open_steps))
        except UnguardedError:
            shutil.rmtree(folder)
            raise


@deferred()
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
    weights_dir: str | Path | None = None,
    **fixed: Any,
) -> Run:
    """Resume a run where it stopped, or extend it to a larger budget.

    Settings that are None stay as they were, except `max_time`, which holds for this session only.

    Args:
        folder: folder of the run.
        budget: candidates to try, those of earlier sessions included.
        max_time: limit on the time of this session: seconds, or text such as "45m". None for no limit.
        workers: worker processes on a machine without a GPU.
        workers_per_gpu: worker processes on each GPU.
        best: candidates to rank at the end, beside the baselines.
        repeats: seeds that each of them is trained on.
        final_steps: optimizer steps of the final training of the best contenders, 0 for none.
        cache_gb: images that take more gigabytes (10^9 bytes) than this are kept on disk while the search runs.
        hang_after: time without a message after which a worker is replaced: seconds, or text such as "45m".
        data: the same labelled set, KIND:PATH, where it has moved.
        unlabelled: the same unlabelled set, where it has moved.
        labels: the same list of labelled images, where it has moved.
        weights_dir: folder of pretrained weight files, where it has moved.
        fixed: any other setting, which is refused.

    Raises:
        UserError: the folder is not a run, another process searches it, its space or images have changed, or a
            setting may not change.
        KeyboardInterrupt: as `search`.
    """
    values = locals()
    return _resume(folder, {key: values[key] for key in MAY_CHANGE}, fixed)


def _resume(folder: str | Path, changes: dict[str, Any], fixed: dict[str, Any]) -> Run:
    from nas.controller.checks import check_sampler, study_names
    from nas.controller.search import Search
    from nas.controller.starting_weights import check_weights

    changes = with_seconds(changes)
    clock = Clock(changes["max_time"])
    check_guard()
    refused = [name.replace("_", "-") for name, value in fixed.items() if value is not None]
    if refused:
        raise UserError(f"--{refused[0]} cannot change when a run is resumed: start a new run for that")
    given = {name: value for name, value in changes.items() if value is not None}
    run = Run(folder)
    check_space(run)
    # A time limit holds for one session.
    run.settings = replace(run.settings, **{"max_time": None, **given}).checked()
    check_sampler(run.settings, run.space())
    study_names(run.settings)
    with _locked(run.folder):
        data = load_images(run.settings)
        if run.storage_exists():
            with run.fast_writes():
                check_images(run.study(), data)
        with weights_from(run.settings.weights_dir):
            check_weights(run.space())
            run.settings.write(run.folder)
            return _execute(Search(run, data, clock))


def _execute(search: Search) -> Run:
    """Run a search and write its report. When interrupted, say how to resume it."""
    from nas.report import ranking_text, unbeaten_text, write_report

    run = search.run
    stopped = f"Stopped; nothing is lost. Resume with: nas-search --resume {shlex.quote(str(run.folder))}"
    try:
        with exit_message(stopped):
            table = search.execute()
            write_report(run)
            for line in ranking_text(table, run).splitlines():
                log.info("%s", line)
            # Without a handler a script sees warnings only.
            if unbeaten := unbeaten_text(table):
                log.warning("%s", unbeaten)
            search.log_duration()
    except KeyboardInterrupt:
        log.info("%s", stopped)
        raise
    return run


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Context manager that keeps other processes from searching the run.

    Raises:
        UserError: another process searches it, or the folder cannot be written.
    """
    try:
        opened = (folder / "lock").open("w")
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}): copy the run elsewhere, or change its permissions"
        ) from error
    with opened as file:
        if not lock(file):
            raise UserError(f"{folder} is being searched by another process: wait for it to end, or stop it")
        yield
