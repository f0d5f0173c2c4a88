"""A run: the folder in which a search keeps everything, and how it is read afterwards."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import UserError
from nas.runs.settings import Settings
from nas.runs.storage import sqlite_url, written_ahead
from nas.wording import counted

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from nas.space import Recipe

__all__ = ["STUDY", "Run", "new_folder"]

STUDY = "search"

COLUMNS = (
    *("name", "hash", "miou", "interval", "winner", "tie", "seeds", "search_miou"),
    *("params", "macs", "seconds", "peak_mb", "error"),
)
"""Columns of a ranking that are read again."""


def check_name(name: str | None, root: Path = Path("runs"), studies: Collection[str] = ()) -> None:
    """See that a run can get the name, or one of its own where it is None, and its folder can be made.

    Raises:
        UserError: when that name is taken, or is no plain name, or the folder cannot be written.
    """
    _check_path(root / (name or ""))
    if name is not None:
        if name in ("", ".", "..") or Path(name).name != name:
            raise UserError(f"--name {name!r}: give a plain name, the run is to be a folder in {root}/")
        folder = root / name
        if folder.exists():
            raise UserError(f"{folder} exists already: go on with --resume {folder}, or choose another --name")
        if name in studies:
            raise UserError(f"--storage holds a study {name} of another run: choose another --name")
    there = next(place for place in (root.absolute(), *root.absolute().parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{there} cannot be written, where the run is to be a folder: work in another folder")


def new_folder(space: str, name: str | None = None, root: Path = Path("runs"), studies: Collection[str] = ()) -> Path:
    """A fresh folder for a run: `runs/NAME`, or `runs/SPACE-1`, `-2` and so on.

    Args:
        studies: names that other runs have in the storage, of which the folder's is to be one more.

    Raises:
        UserError: as `check_name`.
    """
    check_name(name, root, studies)
    if name is not None:
        folder = root / name
    else:
        stem = re.sub(r"\W+", "_", Path(space).stem)
        number = 1
        while (root / f"{stem}-{number}").exists() or f"{stem}-{number}" in studies:
            number += 1
        folder = root / f"{stem}-{number}"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "artifacts").mkdir()
    return folder


def _check_path(folder: Path) -> None:
    """See that the path is text, since safetensors opens no other.

    Raises:
        UserError: it holds bytes that are not UTF-8.
    """
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError:
        path = str(folder.absolute()).encode(errors="backslashreplace").decode()
        raise UserError(f"{path}: the path of a run must be UTF-8 text: choose another folder, or rename it") from None


class Run:
    """A run's folder. Nothing is read before it is asked for."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        _check_path(self.folder)
        if not self.folder.is_dir():
            raise UserError(f"{self.folder}: there is no such run")
        self.settings = Settings.read(self.folder)
        self._written: optuna.storages.BaseStorage | None = None

    @property
    def storage(self) -> str:
        """Optuna's storage URL, as `optuna-dashboard` takes it."""
        return self.settings.storage or sqlite_url(self.folder / "study.db")

    def storage_exists(self) -> bool:
        """Whether there may be a study already: asking for it would make one."""
        file = self.folder / "study.db"
        return self.settings.storage is not None or (file.exists() and file.stat().st_size > 0)

    @property
    def study_name(self) -> str:
        """The study's name in its storage: unique where several runs share one, and kept when the folder is renamed."""
        if self.settings.storage is None:
            return STUDY
        return self.settings.study or self.folder.name

    @contextmanager
    def written(self) -> Iterator[None]:
        """Inside it much is written to the study, which a database of the user's own is not prepared for."""
        if self.settings.storage is not None:
            yield
            return
        with written_ahead(self.folder / "study.db") as self._written:
            try:
                yield
            finally:
                self._written = None

    def study(self) -> optuna.Study:
        """The Optuna study, made at the first call.

        Raises:
            UserError: the storage cannot be read.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        maximize, minimize = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE
        storage = self._written or self.storage
        with self.readable():
            # Optuna's own load_if_exists writes first, which the study of a read-only folder does not let it.
            with suppress(KeyError):
                return optuna.load_study(study_name=self.study_name, storage=storage, pruner=optuna.pruners.NopPruner())
            return optuna.create_study(
                storage=storage,
                study_name=self.study_name,
                # Early stopping is decided by the search itself.
                pruner=optuna.pruners.NopPruner(),
                directions=[maximize] + [minimize] * (len(self.settings.objectives) - 1),
                load_if_exists=True,
            )

    @contextmanager
    def readable(self) -> Iterator[None]:
        """Whatever a storage says inside it that cannot be read, or opened here, is told in a line."""
        from optuna.exceptions import OptunaError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, OptunaError, RuntimeError, ImportError) as error:
            what = "restore study.db from a copy" if self.settings.storage is None else f"see to {self.storage}"
            reason = str(error).splitlines()[0]
            raise UserError(f"{self.folder}: its study cannot be read ({reason}): {what}") from error

    def __repr__(self) -> str:
        """What a notebook shows: `<Run runs/unet-1: unet.py on scenes, 2 candidates, winner unet (mIoU 0.412)>`."""
        settings = self.settings
        try:
            first = self.ranking.query("winner").iloc[0]
            state = f"winner {first['name']} (mIoU {first['miou']:.3f})"
        except UserError:
            state = "not finished"
        what = f"{Path(settings.space).name} on {settings.data}, {counted(settings.budget, 'candidate')}"
        return f"<Run {self.folder}: {what}, {state}>"

    def space(self) -> Recipe:
        """The space, from the copies that the run keeps of its file and of the modules beside it."""
        from nas.space import load_space

        return load_space(self.folder / "space.py")

    def checkpoint(self, digest: str, seed: int) -> Path:
        """Where the weights of a candidate trained in full with a seed are."""
        return self.folder / "checkpoints" / f"{digest}-{seed}.safetensors"

    def final_checkpoint(self, digest: str) -> Path:
        """Where the weights of a candidate's final training are."""
        return self.folder / "checkpoints" / f"{digest}-final.safetensors"

    @property
    def best_checkpoint(self) -> Path:
        """The exported winner."""
        return self.folder / "best.safetensors"

    @property
    def ranking(self) -> pd.DataFrame:
        """The final table.

        Raises:
            UserError: when the run has not reached its end, or its table was damaged.
        """
        import pandas as pd

        path = self.folder / "ranking.csv"
        if not path.exists():
            raise UserError(f"{self.folder} has no ranking yet: finish it with nas-search --resume {self.folder}")
        try:
            # A hash may be all digits.
            table = pd.read_csv(path, index_col="rank", dtype={"hash": str, "name": str})
            missing = [name for name in COLUMNS if name not in table]
        except ValueError as error:  # pandas' own errors, and bytes that are no text
            raise UserError(
                f"{path} cannot be read ({str(error).splitlines()[0]}): remove it and resume the run"
            ) from None
        if missing:
            raise UserError(f"{path} cannot be read (it has no column {missing[0]}): remove it and resume the run")
        if len(table) and (table["winner"].dtype != bool or table["winner"].sum() != 1):
            raise UserError(f"{path} cannot be read (it names no winner, or several): remove it and resume the run")
        return table

    def frame(self) -> pd.DataFrame:
        """A row a trial: outcome, score, costs, and a column a parameter path."""
        import pandas as pd

        from nas.record import records

        rows: list[dict[str, Any]] = []
        for record in records(self.study()):
            keep = ("outcome", "hash", "params", "macs", "seconds", "peak_mb", "latency_ms", "reason")
            kept = {name: None if (value := getattr(record, name)) == "" else value for name in keep}
            rungs = {f"rung {step}": value for step, value in sorted(record.rungs.items())}
            rows.append({"trial": record.number, "miou": record.score, **kept, **rungs, **record.trial.params})
        return pd.DataFrame(rows).set_index("trial") if rows else pd.DataFrame()
