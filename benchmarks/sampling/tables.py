"""Tables of networks that others have trained, as searches that take seconds: what is searched, what is measured.

A table is a file of rows, one a trained network. Its description says which columns are parameters, which of them
are ordered, and which way each target is better; everything else is read from the file.
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

__all__ = ["AS_KNOWN", "DESCRIPTIONS", "Description", "Places", "Reading", "Table", "folder_of_tables", "load_table"]

Places = tuple[int, ...]
"""Of the values of a combination, in the order of the parameters."""

VARIABLE = "NAS_BENCH_TABLES"


@dataclass(frozen=True)
class Description:
    """How one family of tables is to be read.

    Attributes:
        file: start of the file's name.
        parameters: names of columns, as a regular expression.
        targets: by default; a column, or the part before `_0`, `_1`, ... of several that are averaged.
        minimise: which targets are better when smaller, as a regular expression.
        ordered: parameters whose values have an order, as a regular expression; the others are labels.
        seconds: column (or columns, as for targets) of what a training took, or None.
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
    Description("transnas101_micro", r"c\d", ("segmentsemantic",)),  # which operation: a label though a number
    Description("nasbench_macro", r"c\d", ("test_acc_mean",), minimise="params|flops"),  # which block: a label
    Description(
        "fcnet_",
        r"activation_fn_\d|batch_size|dropout_\d|init_lr|lr_schedule|n_units_\d",
        ("val_loss",),
        minimise=".*",
        ordered=r"batch_size|dropout_\d|init_lr|n_units_\d",
        seconds="train_time",
    ),
)
"""The tables known."""


@dataclass(frozen=True)
class Reading:
    """What is said of a table, in place of its description.

    Attributes:
        parameters, ordered: names of columns, as regular expressions; None for the description's.
        minimise: whether the target is better when smaller; False for what the description says.
    """

    parameters: str | None = None
    ordered: str | None = None
    minimise: bool = False

    @property
    def text(self) -> str:
        """What tells it from the description's, as part of a table's name; nothing where it is that."""
        parts = {"parameters": self.parameters, "ordered": self.ordered, "minimise": "yes" if self.minimise else None}
        return "".join(f", {name} {part}" for name, part in parts.items() if part)

    def of(self, path: Path) -> Description:
        """The description of a table. Of an unknown one, the columns c0, c1, ... or op0, op1, ... are labels."""
        unknown = Description(path.stem, r"(c|op)\d+", ("score",))
        about = next((d for d in DESCRIPTIONS if path.name.startswith(d.file)), unknown)
        return replace(
            about,
            parameters=self.parameters or about.parameters,
            ordered=self.ordered or about.ordered,
            minimise=".*" if self.minimise else about.minimise,
        )


@dataclass(frozen=True)
class Table:
    """A search space with the answers.

    Attributes:
        name: of the file and the target, and how they are read where that was said.
        values: the values of each parameter, in order.
        ordered: parameters whose values have an order.
        scores: by the place of each parameter's value; the larger the better.
        seconds: what each training took, or all alike.
    """

    name: str
    values: dict[str, list[Any]]
    ordered: frozenset[str]
    scores: dict[tuple[int, ...], float]
    seconds: dict[tuple[int, ...], float] = field(default_factory=dict)

    @cached_property
    def sorted_scores(self) -> np.ndarray:
        return np.sort(np.array(list(self.scores.values())))[::-1]

    @property
    def mark(self) -> float:
        """The score of the least of the best 0.1 %."""
        return float(self.sorted_scores[max(math.ceil(len(self.scores) / 1000), 1) - 1])

    def regret(self, score: float) -> float:
        """How far from the best, in units of the distance of the median."""
        best, median = self.sorted_scores[0], self.sorted_scores[len(self.scores) // 2]
        # Where half of the table is the best, any unit serves.
        return float((best - score) / ((best - median) or 1.0))

    def rank(self, score: float) -> int:
        """The place of a score among the table's: 1 is the best."""
        return int((self.sorted_scores > score).sum()) + 1

    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """The parameters as Optuna knows them: an ordered one as the place of its value."""
        return {
            name: optuna.distributions.IntDistribution(0, len(values) - 1)
            if name in self.ordered
            else optuna.distributions.CategoricalDistribution(values)
            for name, values in self.values.items()
        }

    def ask(self, trial: optuna.Trial) -> tuple[int, ...]:
        """The places of the values that a trial takes, asked for one by one."""
        return tuple(
            trial.suggest_int(name, 0, len(values) - 1)
            if name in self.ordered
            else values.index(trial.suggest_categorical(name, values))
            for name, values in self.values.items()
        )


AS_KNOWN = Reading()


def folder_of_tables(given: Path | None) -> Path:
    """The folder given, or that of the environment variable.

    Raises:
        UserError: when there is none.
    """
    named = given or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is None:
        raise UserError(f"no folder of tables: give --tables DIR or set {VARIABLE}")
    if not named.is_dir():
        raise UserError(f"{named} is not a folder: give the folder of tables by --tables DIR or {VARIABLE}")
    return named


def load_table(path: Path, target: str | None = None, reading: Reading = AS_KNOWN) -> Table:
    """A table from a Parquet or CSV file. A row whose target is no finite number is no part of it.

    Raises:
        UserError: when the file is not there or no table, holds no such target or no parameter, or a combination
            of parameters twice.
    """
    frame, about = _read(path), reading.of(path)
    names = [c for c in frame.columns if re.fullmatch(about.parameters, c)]
    if not names:
        raise UserError(
            f"{path.name}: no column is known to be a parameter; say which are by --parameters REGEX, of: "
            f"{', '.join(map(str, frame.columns[:20]))}"
        )
    target = target or about.targets[0]
    if target in names:
        raise UserError(f"{path.name}: {target} is a parameter, it cannot be the target")
    score = _column(frame, target, path) * (-1.0 if re.fullmatch(about.minimise, target) else 1.0)
    values = {name: _values(frame[name]) for name in names}
    keys = list(zip(*([values[name].index(v) for v in _plain(frame[name])] for name in names), strict=True))
    if len(set(keys)) < len(keys):
        raise UserError(
            f"{path.name}: {len(keys) - len(set(keys))} rows repeat a combination of {', '.join(names)}: "
            "a parameter is not among these (--parameters REGEX), or rows are to be averaged first"
        )
    scores = {key: float(s) for key, s in zip(keys, score, strict=True) if math.isfinite(s)}
    if not scores:
        raise UserError(f"{path.name}: the column {target} holds no number")
    seconds = {}
    if about.seconds is not None:
        seconds = dict(zip(keys, _column(frame, about.seconds, path), strict=True))
    ordered = frozenset(name for name in names if re.fullmatch(about.ordered, name))
    if reading.ordered and not ordered:
        raise UserError(f"--ordered {reading.ordered}: none of the parameters {', '.join(names)}")
    words = sorted(n for n in ordered if any(isinstance(value, str) for value in values[n]))
    if words:
        raise UserError(f"{path.name}: {words[0]} holds words, whose order is unknown: number them, or not --ordered")
    return Table(f"{path.stem}:{target}{reading.text}", values, ordered, scores, seconds)


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
    numbered = [c for c in frame.columns if re.fullmatch(re.escape(name) + r"_\d+", c)]
    found = [name] if name in frame.columns else numbered
    if not found:
        raise UserError(f"{path.name} has no column {name}; it has: {', '.join(map(str, frame.columns[:20]))}")
    try:
        return frame[found].astype(float).mean(axis=1, skipna=False)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path.name}: the column {name} does not hold numbers") from error


def _plain(column: pd.Series) -> list[Any]:
    """The values as Python's own types, None where there is none."""
    return [None if there else value for value, there in zip(column.tolist(), column.isna(), strict=True)]


def _values(column: pd.Series) -> list[Any]:
    """The values that occur: None, then numbers, then text, each in order."""
    return sorted(set(_plain(column)), key=lambda v: (v is not None, isinstance(v, str), 0 if v is None else v))
