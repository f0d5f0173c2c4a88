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

from nas.controller.images import load_images, with_sizes
from nas.controller.timing import Clock
from nas.errors import UserError
from nas.files import lock
from nas.interrupt import heeded, last_words
from nas.pool import UnguardedError, check_guard
from nas.runs.inputs import check_images, check_space, keep_space
from nas.runs.run import Run, check_name, new_folder
from nas.runs.settings import Settings, settings_of
from nas.space import find_space_file, is_open, load_space

if TYPE_CHECKING:
    from nas.controller.search import Search

__all__ = ["resume", "search"]

log = logging.getLogger("nas")

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
    size: tuple[int, int] | None = None,
    search_size: tuple[int, int] | None = None,
    group_classes: str | dict[str, Any] | None = None,
    holdout: bool = True,
    seed: int = 0,
    objectives: tuple[str, ...] = ("miou",),
    latency_on: str | None = None,
    sampler: str = "surrogate",
    stopping: str = "halving",
    warm_start: str | None = None,
    screen: int | None = None,
    steps: int | None = None,
    final_steps: int | None = None,
    folds: int | None = None,
    best: int = 3,
    repeats: int = 3,
    workers: int | None = None,
    workers_per_gpu: int = 2,
    max_time: float | None = None,
    storage: str | None = None,
    cache_gb: float = 4.0,
    hang_after: float = 3600.0,
    **unknown: Any,
) -> Run:
    """Search a space and return the finished run.

    Args:
        space: the space file, or the name of a shipped one.
        name: of the run's folder under `runs`; made up from the space when None.
        budget: and what follows, see `Settings`.

    Raises:
        UserError: when the input is unusable; nothing has been written then.
        KeyboardInterrupt: on Ctrl-C, within half a second; the run can be resumed.
    """
    given = {key: value for key, value in locals().items() if key not in ("space", "name", "unknown")}
    return _search(space, name, {**given, **unknown})


def _search(space: str | Path, name: str | None, settings: dict[str, Any]) -> Run:
    from nas.controller.checks import check_builds, check_holdout, check_sampler, check_start, studies_there
    from nas.controller.search import Search

    clock = Clock(settings.get("max_time"))
    check_guard()
    path = find_space_file(space)
    chosen = settings_of(**{**settings, "space": str(path)})
    loaded = load_space(path)
    check_holdout(chosen, loaded)
    check_sampler(chosen, loaded)
    check_start(chosen)
    studies = studies_there(chosen)
    check_name(name, studies=studies)
    chosen = _with_groups(chosen)
    data = load_images(chosen, searched=is_open(loaded))
    check_builds(loaded, data)
    open_steps = chosen.steps is None
    chosen = with_sizes(chosen, data).with_steps(len(data.labelled.images))
    folder = new_folder(str(space), name, studies=studies)
    replace(chosen, study=folder.name).write(folder)
    run = Run(folder)
    with _alone(folder):
        keep_space(run, path)
        try:
            return _carry_out(Search(run, data, clock, open_steps))
        except UnguardedError:
            shutil.rmtree(folder)
            raise


@heeded()
def resume(
    folder: str | Path,
    budget: int | None = None,
    *,
    max_time: float | None = None,
    workers: int | None = None,
    workers_per_gpu: int | None = None,
    best: int | None = None,
    repeats: int | None = None,
    final_steps: int | None = None,
    cache_gb: float | None = None,
    hang_after: float | None = None,
    data: str | None = None,
    unlabelled: str | None = None,
    labels: str | int | Path | None = None,
    **fixed: Any,
) -> Run:
    """Go on with a run where it stopped, or extend it to a larger budget.

    Args:
        folder: of the run.
        budget: and what follows, see `Settings`; None leaves them as they were.
        fixed: settings that may not change.

    Raises:
        UserError: when the folder is no run or one that is being searched, its space or images are not those it
            began with, or a setting may not change.
        KeyboardInterrupt: as `search`.
    """
    values = locals()
    return _resume(folder, {key: values[key] for key in MAY_CHANGE}, fixed)


def _resume(folder: str | Path, changes: dict[str, Any], fixed: dict[str, Any]) -> Run:
    from nas.controller.checks import check_sampler, studies_there
    from nas.controller.search import Search

    clock = Clock(changes.get("max_time"))
    check_guard()
    refused = [name.replace("_", "-") for name, value in fixed.items() if value is not None]
    if refused:
        raise UserError(f"--{refused[0]} cannot change when a run is resumed: start a new run for that")
    given = {name: value for name, value in changes.items() if value is not None}
    run = Run(folder)
    check_space(run)
    # A limit on time holds for one sitting.
    run.settings = replace(run.settings, **{"max_time": None, **given}).checked()
    check_sampler(run.settings, run.space())
    studies_there(run.settings)
    with _alone(run.folder):
        data = load_images(run.settings)
        if run.storage_exists():
            with run.written():
                check_images(run.study(), data)
        run.settings.write(run.folder)
        return _carry_out(Search(run, data, clock))


def _carry_out(search: Search) -> Run:
    """Search, and report what was found; when interrupted, say how to go on."""
    from nas.report import ranking_text, unbeaten_text, write_report

    run = search.run
    stopped = f"Stopped; what was done is kept. Go on with: nas-search --resume {shlex.quote(str(run.folder))}"
    try:
        with last_words(stopped):
            table = search.through()
            write_report(run)
            for line in ranking_text(table, run).splitlines():
                log.info("%s", line)
            # A warning, which a script sees as well.
            if unbeaten := unbeaten_text(table):
                log.warning("%s", unbeaten)
            search.tell_time()
    except KeyboardInterrupt:
        log.info("%s", stopped)
        raise
    return run


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


def _with_groups(settings: Settings) -> Settings:
    """The settings with the grouping of classes in the place of its file, which may change or go."""
    if settings.group_classes is None:
        return settings
    from nas.tasks.data import read_groups

    return replace(settings, group_classes=read_groups(settings.group_classes))
