"""Tables of networks trained by others: searching one takes seconds, since each look-up stands for a training.

A table is a file with one row per trained network. Its description says which columns are parameters, which of these
are ordered, and which targets are minimized; everything else is read from the file.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd

from nas.errors import UserError

__all__ = [
    "DEFAULT_OPTIONS",
    "DESCRIPTIONS",
    "Combination",
    "Description",
    "Table",
    "TableOptions",
    "load_table",
    "tables_folder",
]

Combination = tuple[int, ...]
"""A combination of parameter values: the index of each value, in the order of the parameters."""

VARIABLE = "NAS_BENCH_TABLES"
"""Environment variable with the folder of tables."""


@dataclass(frozen=True)
class Description:
    """Description of a family of tables.

    Attributes:
        file: prefix of the file's name.
        parameters: names of the parameter columns, as a regular expression.
        targets: default targets: a column, or the part before `_0`, `_1`, ... of several columns to average.
        minimise: targets to minimize, as a regular expression.
        ordered: parameters with ordered values, as a regular expression; the others are categorical.
        seconds: column (or columns, as for targets) with the duration of a training, or None.
    """

    file: str
    parameters: str
    targets: tuple[str, ...]
    minimise: str = r"$^"
    ordered: str = r"$^"
    seconds: str | None = None


DESCRIPTIONS = (
    Description(
        "nasbench201",
        r"op\d",
        ("cifar10_val_mean", "cifar100_val_mean", "ImageNet16-120_val_mean"),
        minimise=r".*(_s|_M)",
        seconds="cifar10_train_time_s",
    ),
    Description("transnas101_micro", r"c\d", ("segmentsemantic",)),  # operations: categorical although numbers
    Description("nasbench_macro", r"c\d", ("test_acc_mean",), minimise="params|flops"),  # blocks: categorical
    Description(
        "fcnet_",
        r"activation_fn_\d|batch_size|dropout_\d|init_lr|lr_schedule|n_units_\d",
        ("val_loss",),
        minimise=".*",
        ordered=r"batch_size|dropout_\d|init_lr|n_units_\d",
        seconds="train_time",
    ),
)
"""Descriptions of the known tables."""


@dataclass(frozen=True)
class TableOptions:
    """Options that override the description of a table.

    Attributes:
        parameters, ordered: names of columns, as regular expressions; None for those of the description.
        minimise: whether to minimize the target; False to follow the description.
    """

    parameters: str | None = None
    ordered: str | None = None
    minimise: bool = False

    @property
    def suffix(self) -> str:
        """Suffix of the table's name that distinguishes these options; empty for the default ones."""
        parts = {"parameters": self.parameters, "ordered": self.ordered, "minimise": "yes" if self.minimise else None}
        return "".join(f", {name} {part}" for name, part in parts.items() if part)

    def describe(self, path: Path) -> Description:
        """Describe a table. In an unknown one, the columns c0, c1, ... and op0, op1, ... are categorical parameters."""
        unknown = Description(path.stem, r"(c|op)\d+", ("score",))
        known = next((d for d in DESCRIPTIONS if path.name.startswith(d.file)), unknown)
        return replace(
            known,
            parameters=self.parameters or known.parameters,
            ordered=self.ordered or known.ordered,
            minimise=".*" if self.minimise else known.minimise,
        )


DEFAULT_OPTIONS = TableOptions()


@dataclass(frozen=True)
class Table:
    """A search space with the score of each combination.

    Attributes:
        name: file and target, and the options if they are not the default ones.
        values: sorted values of each parameter.
        ordered: names of parameters with ordered values.
        scores: score by combination, larger is better.
        seconds: duration of each training; empty if unknown.
    """

    name: str
    values: dict[str, list[Any]]
    ordered: frozenset[str]
    scores: dict[Combination, float]
    seconds: dict[Combination, float] = field(default_factory=dict)

    @cached_property
    def sorted_scores(self) -> np.ndarray:
        """All scores, best first."""
        return np.sort(np.array(list(self.scores.values())))[::-1]

    @property
    def top_score(self) -> float:
        """The lowest score of the best 0.1 %."""
        return float(self.sorted_scores[max(math.ceil(len(self.scores) / 1000), 1) - 1])

    def regret(self, score: float) -> float:
        """Return the distance of a score from the best one, in units of the median's distance."""
        best, median = self.sorted_scores[0], self.sorted_scores[len(self.scores) // 2]
        # If half of the table has the best score, the unit does not matter.
        return float((best - score) / ((best - median) or 1.0))

    def rank(self, score: float) -> int:
        """Return the rank of a score in the table; 1 is the best."""
        return int((self.sorted_scores > score).sum()) + 1

    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Return the parameters as Optuna distributions: an ordered one as the index of its value."""
        return {
            name: optuna.distributions.IntDistribution(0, len(values) - 1)
            if name in self.ordered
            else optuna.distributions.CategoricalDistribution(values)
            for name, values in self.values.items()
        }

    def suggest(self, trial: optuna.Trial) -> Combination:
        """Suggest the parameters of a trial one by one and return the combination."""
        return tuple(
            trial.suggest_int(name, 0, len(values) - 1)
            if name in self.ordered
            else values.index(trial.suggest_categorical(name, values))
            for name, values in self.values.items()
        )


def tables_folder(given: Path | None) -> Path:
    """Return the given folder, or that of the environment variable.

    Raises:
        UserError: if there is none.
    """
    folder = given or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if folder is None:
        raise UserError(f"no folder of tables: give --tables DIR or set {VARIABLE}")
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give the folder of tables by --tables DIR or {VARIABLE}")
    return folder


def load_table(path: Path, target: str | None = None, options: TableOptions = DEFAULT_OPTIONS) -> Table:
    """Load a table from a Parquet or CSV file. Rows whose target is not finite are left out.

    Args:
        path: the file.
        target: name of the target; None for the first one of the description.
        options: override the description.

    Raises:
        UserError: if the file does not exist or is not a table, lacks the target or parameters, or repeats a
            combination.
    """
    frame, description = _read(path), options.describe(path)
    names = [c for c in frame.columns if re.fullmatch(description.parameters, c)]
    if not names:
        raise UserError(
            f"{path.name}: no column is known to be a parameter; choose them by --parameters REGEX from: "
            f"{', '.join(map(str, frame.columns[:20]))}"
        )
    target = target or description.targets[0]
    if target in names:
        raise UserError(f"{path.name}: {target} is a parameter, it cannot be the target")
    score = _column(frame, target, path) * (-1.0 if re.fullmatch(description.minimise, target) else 1.0)
    values = {name: _unique_values(frame[name]) for name in names}
    keys = list(zip(*([values[name].index(v) for v in _python_values(frame[name])] for name in names), strict=True))
    if len(set(keys)) < len(keys):
        raise UserError(
            f"{path.name}: {len(keys) - len(set(keys))} rows repeat a combination of {', '.join(names)}: "
            "name all parameters by --parameters REGEX, or average repeated rows first"
        )
    scores = {key: float(s) for key, s in zip(keys, score, strict=True) if math.isfinite(s)}
    if not scores:
        raise UserError(f"{path.name}: the column {target} holds no number")
    seconds = {}
    if description.seconds is not None:
        seconds = dict(zip(keys, _column(frame, description.seconds, path), strict=True))
    ordered = frozenset(name for name in names if re.fullmatch(description.ordered, name))
    _check_ordered(path, ordered, values, options)
    return Table(f"{path.stem}:{target}{options.suffix}", values, ordered, scores, seconds)


def _check_ordered(path: Path, ordered: frozenset[str], values: dict[str, list[Any]], options: TableOptions) -> None:
    if options.ordered and not ordered:
        raise UserError(f"--ordered {options.ordered}: matches none of the parameters {', '.join(values)}")
    words = sorted(n for n in ordered if any(isinstance(value, str) for value in values[n]))
    if words:
        raise UserError(
            f"{path.name}: {words[0]} holds text, whose order is unknown: replace it by numbers, or leave it out of "
            "--ordered"
        )


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"there is no table {path}")
    try:
        frame = pd.read_csv(path) if path.name.endswith((".csv", ".csv.gz")) else pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from error
    if frame.empty:
        raise UserError(f"{path.name} has no rows")
    return frame


def _column(frame: pd.DataFrame, name: str, path: Path) -> pd.Series:
    """Return a column of numbers, or the mean of the columns `name_0`, `name_1`, ..."""
    numbered = [c for c in frame.columns if re.fullmatch(re.escape(name) + r"_\d+", c)]
    found = [name] if name in frame.columns else numbered
    if not found:
        raise UserError(f"{path.name} has no column {name}; it has: {', '.join(map(str, frame.columns[:20]))}")
    try:
        return frame[found].astype(float).mean(axis=1, skipna=False)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path.name}: the column {name} does not hold numbers") from error


def _python_values(column: pd.Series) -> list[Any]:
    """Return the values as Python objects, None if missing."""
    return [None if missing else value for value, missing in zip(column.tolist(), column.isna(), strict=True)]


def _unique_values(column: pd.Series) -> list[Any]:
    """Return the different values: None, then numbers, then text, each sorted."""
    unique = set(_python_values(column))
    return sorted(unique, key=lambda v: (v is not None, isinstance(v, str), 0 if v is None else v))
