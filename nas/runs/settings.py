"""Settings of a search, as given on the command line and stored in the run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from nas.errors import UserError
from nas.files import replacing
from nas.runs.objectives import checked_objectives
from nas.runs.storage import with_full_path
from nas.sizes import parse_size
from nas.times import parse_seconds
from nas.weights_folder import expanded

__all__ = ["BASE_STEPS", "UNLIMITED", "Settings", "default_steps", "settings_of", "with_seconds"]

MIN_TIME = 30.0
"""Shortest time limit in seconds."""

UNLIMITED = 1_000_000
"""The budget of a search that is limited by time only."""

BASE_STEPS, BASE_LABELS = 400, 12
"""Steps of a training with this many labels or fewer. With 12 labels, networks reach 93 % or more of their score of 640
steps after 320, and after 80 steps may not beat the most frequent class at each place. With 50 labels they improve for
longer (`benchmarks/results/learning_floor.md`)."""


def default_steps(labelled: int) -> int:
    """Optimizer steps of a full training in a search, which grow with the square root of the number of labels."""
    return round(BASE_STEPS * math.sqrt(max(labelled, BASE_LABELS) / BASE_LABELS))


def settings_of(**given: Any) -> Settings:
    """Make and check settings from keyword arguments.

    Raises:
        UserError: there is no such setting, or a value is unusable.
    """
    known = {f.name for f in fields(Settings)} - {"study"}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise UserError(f"there is no setting {unknown[0]!r}: choose from {', '.join(sorted(known - {'space'}))}")
    given = with_seconds(given)
    if given.get("budget") is None:
        given.pop("budget", None)
        # A time limit replaces the budget.
        if given.get("max_time") is not None:
            given["budget"] = UNLIMITED
    return Settings(**given).checked()


def with_seconds(given: Mapping[str, Any]) -> dict[str, Any]:
    """Convert times such as "45m" to seconds.

    Raises:
        UserError: a time cannot be parsed.
    """
    times = {name: parse_seconds(given[name]) for name in ("max_time", "hang_after") if given.get(name) is not None}
    return {**given, **times}


@dataclass(frozen=True)
class Settings:
    """The settings of one run.

    Attributes:
        space: the space file.
        budget: candidates to try.
        data, labels, unlabelled, size, group_classes, holdout: the data set, see `nas.tasks.data.load_data`. A run
            stores the grouping of classes itself, not the name of its file. The size may be written in any way that
            `nas.sizes.parse_size` accepts.
        search_size: size at which candidates are compared, written like `size`, at which the winner is trained in the
            end. None for `size`; where that is None too, for what device and time can afford.
        seed: seed of the sampler, the choice of labels and every training.
        objectives: mIoU, then costs, see `nas.runs.objectives`.
        latency_on: device to measure latency on, "cpu" or "cuda"; None for the device that trains.
        sampler: one of `nas.samplers.SAMPLERS`.
        stopping: one of `nas.stopping.STOPPING`.
        warm_start: folder of an earlier run whose best candidates are tried after the baselines, or None.
        screen: number of candidates to draw before anything is trained, of which the most promising tenth is tried
            first; None for no screening.
        steps: optimizer steps of a full training in the search; None for `default_steps`.
        final_steps: optimizer steps of the final training of the best contenders. None for three times `steps`; 0 for
            no final training, so that a network of the search is exported.
        folds: folds of the labelled images that candidates are scored on, 0 for one validation split; None for what
            the data calls for, see `nas.tasks.data.load_data`.
        best: candidates to rank at the end, beside the baselines.
        repeats: seeds that each of them is trained on.
        workers: worker processes on a machine without a GPU; None for one per core.
        workers_per_gpu: worker processes on each GPU.
        max_time: limit in seconds on the time of a session, ranking, final training and export included; or None.
        storage: Optuna storage URL; None for `study.db` in the run's folder.
        study: name of the run's study in `storage`, chosen when the run begins.
        weights_dir: folder of pretrained weight files; None for that of the environment variable NAS_WEIGHTS.
        cache_gb: gigabytes of images above which they are cached on disk.
        hang_after: seconds without a message after which a worker is replaced.
    """

    space: str
    budget: int = 200
    data: str = "scenes"
    labels: str | None = None
    unlabelled: str | None = None
    size: tuple[int, int] | None = None
    search_size: tuple[int, int] | None = None
    group_classes: str | dict[str, Any] | None = None
    holdout: bool = True
    seed: int = 0
    objectives: tuple[str, ...] = ("miou",)
    latency_on: str | None = None
    sampler: str = "surrogate"
    stopping: str = "halving"
    warm_start: str | None = None
    screen: int | None = None
    steps: int | None = None
    final_steps: int | None = None
    folds: int | None = None
    best: int = 3
    repeats: int = 3
    workers: int | None = None
    workers_per_gpu: int = 2
    max_time: float | None = None
    storage: str | None = None
    study: str | None = None
    weights_dir: str | None = None
    cache_gb: float = 4.0
    hang_after: float = 3600.0

    def checked(self) -> Settings:
        """Check these settings, and return them with parsed sizes and absolute paths.

        Raises:
            UserError: a value is unusable.
        """
        self._check_numbers()
        self._check_times()
        checked_objectives(self.objectives)
        for name in ("sampler", "stopping"):
            if not isinstance(getattr(self, name), str):
                raise UserError(f"{name} {getattr(self, name)!r}: give the name of one that nas-search --help lists")
        if self.latency_on not in (None, "cpu", "cuda"):
            raise UserError(f"--latency-on {self.latency_on}: use cpu or cuda")
        if self.latency_on and "latency" not in self.objectives:
            raise UserError("--latency-on needs latency as an objective: add --objectives miou,latency")
        if not isinstance(self.labels, str | int | Path | None):
            raise UserError(f"labels {self.labels!r}: give it as text, like 1/8, 46, all or FILE.txt")
        for name in ("data", "unlabelled"):
            if not isinstance(getattr(self, name), str | None):
                raise UserError(f"{name} {getattr(self, name)!r}: give it as text, like scenes or folder:PATH")
        size, search_size = (None if s is None else parse_size(s) for s in (self.size, self.search_size))
        return replace(self, size=size, search_size=search_size).with_absolute_paths()

    def _check_numbers(self) -> None:
        minimum = dict.fromkeys(("budget", "screen", "steps", "best", "repeats", "workers", "workers_per_gpu"), 1)
        minimum |= dict.fromkeys(("seed", "cache_gb", "final_steps", "folds"), 0)
        for name, least in minimum.items():
            value = getattr(self, name)
            option = f"--{name.replace('_', '-')} {value}"
            if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
                raise UserError(f"{option}: give a number, not {type(value).__name__}")
            if value is not None and not value >= least:
                raise UserError(f"{option}: give {least} or more")
        if self.folds == 1:
            raise UserError("--folds 1: give 2 or more, or 0 for one validation split")
        if self.seed >= 2**32:
            raise UserError(f"--seed {self.seed}: give less than 2^32")

    def _check_times(self) -> None:
        for name in ("max_time", "hang_after"):
            seconds = getattr(self, name)
            if seconds is not None and seconds <= 0:
                raise UserError(f"--{name.replace('_', '-')} {seconds:g}s: give a positive time")
        if self.max_time is not None and self.max_time < MIN_TIME:
            raise UserError(
                f"--max-time {self.max_time:g}s: give {MIN_TIME:g}s or more, since a search has to start and to end"
            )

    def with_absolute_paths(self) -> Settings:
        """Make all paths absolute, since a run may be resumed from another folder."""
        from nas.tasks.data import is_list, resolved

        labels = None if self.labels is None else str(self.labels)
        if labels is not None and is_list(labels):
            labels = str(Path(labels.strip()).expanduser().resolve())
        return replace(
            self,
            data=resolved(self.data),
            unlabelled=None if self.unlabelled is None else resolved(self.unlabelled),
            labels=labels,
            warm_start=None if self.warm_start is None else str(Path(self.warm_start).resolve()),
            storage=None if self.storage is None else with_full_path(self.storage),
            weights_dir=None if self.weights_dir is None else str(expanded(self.weights_dir).resolve()),
        )

    def with_steps(self, labelled: int) -> Settings:
        """Decide the number of steps by the number of labelled images, unless it is given."""
        if self.steps is not None:
            return self
        return replace(self, steps=default_steps(labelled))

    @property
    def timed(self) -> str | None:
        """Device to measure latency on, "training" for the one that trains; None where latency is no objective."""
        return (self.latency_on or "training") if "latency" in self.objectives else None

    @property
    def full_steps(self) -> int:
        """Steps of a full training, after `with_steps`."""
        assert self.steps is not None
        return self.steps

    def write(self, folder: Path) -> None:
        """Write the settings into a run's folder."""
        with replacing(folder / "settings.json") as path:
            path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Settings:
        """Read the settings of a run's folder.

        Raises:
            UserError: the folder is not a run.
        """
        path = folder / "settings.json"
        try:
            data: dict[str, Any] = json.loads(path.read_text())
            known = {f.name for f in fields(cls)}
            settings = cls(**{name: value for name, value in data.items() if name in known})
            size, search_size = ((s[0], s[1]) if s else None for s in (settings.size, settings.search_size))
            return replace(settings, size=size, search_size=search_size, objectives=tuple(settings.objectives))
        # Another program's file may hold anything.
        except (OSError, ValueError, TypeError, AttributeError, LookupError):
            raise UserError(f"{folder} is not a run: it has no readable settings.json") from None
