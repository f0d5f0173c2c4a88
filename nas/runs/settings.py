"""Settings of a search, as given on the command line; kept in the run so that it can be resumed."""

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

__all__ = ["FEWEST_STEPS", "UNLIMITED", "Settings", "default_steps", "settings_of", "with_seconds"]

SHORTEST = 30.0
"""Seconds that a limited search is to have at least."""

UNLIMITED = 1_000_000
"""The budget of a search that only its time limits."""

FEWEST_STEPS, FEW = 400, 12
"""Steps of a training with so many labels or fewer: with 12 of them, networks trained for 320 steps have 93 % and more
of what twice as many give, and those trained for 80 steps may not beat a class map by location. With 50 labels
trainings gain for longer (`benchmarks/results/learning_floor.md`)."""


def default_steps(labelled: int) -> int:
    """Optimizer steps of a full training in a search: as the square root of the number of labelled images."""
    return round(FEWEST_STEPS * math.sqrt(max(labelled, FEW) / FEW))


def settings_of(**given: Any) -> Settings:
    """Checked settings from what a user gives by name.

    Raises:
        UserError: when there is no such setting, or a value is unusable.
    """
    known = {f.name for f in fields(Settings)} - {"study"}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise UserError(f"there is no setting {unknown[0]!r}: choose from {', '.join(sorted(known - {'space'}))}")
    given = with_seconds(given)
    if given.get("budget") is None:
        given.pop("budget", None)
        # Time alone is a budget.
        if given.get("max_time") is not None:
            given["budget"] = UNLIMITED
    return Settings(**given).checked()


def with_seconds(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings with times such as "45m" in seconds.

    Raises:
        UserError: a time cannot be read.
    """
    times = {name: parse_seconds(given[name]) for name in ("max_time", "hang_after") if given.get(name) is not None}
    return {**given, **times}


@dataclass(frozen=True)
class Settings:
    """What one run searches, on which data, and for how long.

    Attributes:
        space: the space file.
        budget: candidates to try.
        data, labels, unlabelled, size, group_classes, holdout: the data set, as `nas.tasks.data.load_data` reads them; a
            run keeps the grouping itself, not the name of its file. The size may be written in any way that
            `nas.sizes.parse_size` reads.
        search_size: the size at which candidates are compared, written like `size`, at which the winner is trained in
            the end; None for `size`, or where that is open too for what device and time can afford.
        seed: of the sampler, the draw of labels and every training.
        objectives: mIoU, and what it is weighed against, see `nas.runs.objectives`.
        latency_on: "cpu" or "cuda", where latency is measured; None for the device that trains.
        sampler: one of `nas.samplers.SAMPLERS`.
        stopping: one of `nas.stopping.STOPPING`.
        warm_start: the folder of an earlier run whose best candidates are tried after the baselines, or None.
        screen: how many candidates are drawn before anything is trained, the most promising tenth being tried next;
            or None.
        steps: optimizer steps of a full training in the search; None for what `default_steps` gives.
        final_steps: optimizer steps that the best contenders are trained for in the end, None for three times
            `steps`; 0 for none, so that a network of the search is exported.
        folds: folds of the labelled images that candidates are scored on; 0 for one validation split; None for what
            the data calls for, see `nas.tasks.data.load_data`.
        best: candidates that are trained again at the end, beside the baselines.
        repeats: seeds each of them is trained on.
        workers: processes on a machine without a GPU; None for one a core.
        workers_per_gpu: processes on each GPU.
        max_time: seconds that a sitting may take, with ranking, final training and export; or None.
        storage: an Optuna storage URL, or None for `study.db` in the run's folder.
        study: the name of the run's study in `storage`, decided when the run begins.
        weights_dir: the folder of files of pretrained weights, or None for that of the environment's NAS_WEIGHTS.
        cache_gb: images above this live in a cache on disk.
        hang_after: seconds without a word after which a worker counts as hung and is replaced.
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
        """These settings.

        Raises:
            UserError: when a number is out of its range.
        """
        least = dict.fromkeys(("budget", "screen", "steps", "best", "repeats", "workers", "workers_per_gpu"), 1)
        least |= dict.fromkeys(("seed", "cache_gb", "final_steps", "folds"), 0)
        for name, lowest in least.items():
            value = getattr(self, name)
            option = f"--{name.replace('_', '-')} {value}"
            if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
                raise UserError(f"{option}: give a number, not {type(value).__name__}")
            if value is not None and not value >= lowest:
                raise UserError(f"{option}: give {lowest} or more")
        if self.folds == 1:
            raise UserError("--folds 1: give 2 or more, or 0 for one validation split")
        if self.seed >= 2**32:
            raise UserError(f"--seed {self.seed}: give less than 2^32")
        checked_objectives(self.objectives)
        if self.latency_on not in (None, "cpu", "cuda"):
            raise UserError(f"--latency-on {self.latency_on}: use cpu or cuda")
        if self.latency_on and "latency" not in self.objectives:
            raise UserError("--latency-on says where latency is measured: add it to --objectives, as in miou,latency")
        if not isinstance(self.labels, str | int | Path | None):
            raise UserError(f"labels {self.labels!r}: give it as text, like 1/8, 46, all or FILE.txt")
        for name in ("data", "unlabelled"):
            if not isinstance(getattr(self, name), str | None):
                raise UserError(f"{name} {getattr(self, name)!r}: give it as text, like scenes or folder:PATH")
        for name in ("max_time", "hang_after"):
            seconds = getattr(self, name)
            if seconds is not None and seconds <= 0:
                raise UserError(f"--{name.replace('_', '-')} {seconds:g}s: give a positive time")
        if self.max_time is not None and self.max_time < SHORTEST:
            raise UserError(
                f"--max-time {self.max_time:g}s: give {SHORTEST:g}s or more, a search has to start and to end"
            )
        size, search_size = (None if s is None else parse_size(s) for s in (self.size, self.search_size))
        return replace(self, size=size, search_size=search_size).anywhere()

    def anywhere(self) -> Settings:
        """The same settings with full paths: a run may be resumed from another folder than it was begun in."""
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
            weights_dir=None if self.weights_dir is None else str(Path(self.weights_dir).expanduser().resolve()),
        )

    def with_steps(self, labelled: int) -> Settings:
        """The same settings with the number of steps decided, for that many labelled images."""
        if self.steps is not None:
            return self
        return replace(self, steps=default_steps(labelled))

    @property
    def timed(self) -> str | None:
        """The device on which latency is to be measured, "training" for that of the training; None for none."""
        return (self.latency_on or "training") if "latency" in self.objectives else None

    @property
    def full_steps(self) -> int:
        """The steps of a full training, once decided."""
        assert self.steps is not None
        return self.steps

    def write(self, folder: Path) -> None:
        """Keep the settings in a run's folder."""
        with replacing(folder / "settings.json") as path:
            path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Settings:
        """The settings kept in a run's folder.

        Raises:
            UserError: when the folder is no run.
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
