"""A run: the folder in which a search keeps everything."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import UserError
from nas.runs.settings import Settings
from nas.runs.storage import sqlite_url, wal_storage
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
"""Columns that a stored ranking must have."""


def check_name(name: str | None, root: Path = Path("runs"), studies: Collection[str] = ()) -> None:
    """Check that a run can have this name and that its folder can be made.

    Args:
        name: name of the run; None for a generated one.
        root: folder of all runs.
        studies: names of the studies in the storage.

    Raises:
        UserError: the name is taken or not a plain file name, or the folder cannot be written.
    """
    _check_path(root / (name or ""))
    if name is not None:
        if name in ("", ".", "..") or Path(name).name != name:
            raise UserError(f"--name {name!r}: give a plain name, the run becomes a folder in {root}/")
        folder = root / name
        if folder.exists():
            raise UserError(f"{folder} exists already: resume it with --resume {folder}, or choose another --name")
        if name in studies:
            raise UserError(f"--storage holds the study {name} of another run: choose another --name")
    existing = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{existing} cannot be written, but the run becomes a folder in it: work in another folder")


def new_folder(space: str, name: str | None = None, root: Path = Path("runs"), studies: Collection[str] = ()) -> Path:
    """Make the folder of a new run: `runs/NAME`, or `runs/SPACE-1`, `-2` and so on; arguments as `unused_folder`."""
    folder = unused_folder(Path(space).stem, name, root, studies)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "artifacts").mkdir()
    return folder


def unused_folder(stem: str, name: str | None = None, root: Path = Path("runs"), studies: Collection[str] = ()) -> Path:
    """Return a folder that does not exist: `runs/NAME`, or `runs/STEM-1`, `-2` and so on.

    Args:
        stem: start of a generated name.
        name: the name; None for a generated one.
        root: folder of all runs.
        studies: names of the studies in the storage, which a generated name avoids.

    Raises:
        UserError: as `check_name`.
    """
    check_name(name, root, studies)
    if name is not None:
        return root / name
    stem = re.sub(r"\W+", "_", stem)
    number = 1
    while (root / f"{stem}-{number}").exists() or f"{stem}-{number}" in studies:
        number += 1
    return root / f"{stem}-{number}"


def _check_path(folder: Path) -> None:
    """Check that the path is UTF-8 text, since safetensors opens no other.

    Raises:
        UserError: it is not.
    """
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError:
        path = str(folder.absolute()).encode(errors="backslashreplace").decode()
        raise UserError(f"{path}: the path of a run must be UTF-8 text: choose another folder, or rename it") from None


class Run:
    """The folder of a run. Everything but its settings is read on demand."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        _check_path(self.folder)
        if not self.folder.is_dir():
            raise UserError(f"{self.folder}: there is no such run")
        self.settings = Settings.read(self.folder)
        self._fast_storage: optuna.storages.BaseStorage | None = None

    @property
    def storage(self) -> str:
        """Optuna's storage URL, for `optuna-dashboard` too."""
        return self.settings.storage or sqlite_url(self.folder / "study.db")

    def storage_exists(self) -> bool:
        """Whether there may be a study already. `study` would create one."""
        file = self.folder / "study.db"
        return self.settings.storage is not None or (file.exists() and file.stat().st_size > 0)

    @property
    def study_name(self) -> str:
        """Name of the study: unique in a shared storage, and unchanged when the folder is renamed."""
        if self.settings.storage is None:
            return STUDY
        return self.settings.study or self.folder.name

    @contextmanager
    def fast_writes(self) -> Iterator[None]:
        """Context manager that makes writes to the study's SQLite file fast; a storage of the user's is left alone."""
        if self.settings.storage is not None:
            yield
            return
        with wal_storage(self.folder / "study.db") as self._fast_storage:
            try:
                yield
            finally:
                self._fast_storage = None

    def study(self) -> optuna.Study:
        """The Optuna study; the first call creates it.

        Raises:
            UserError: the storage cannot be read.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        maximize, minimize = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE
        storage = self._fast_storage or self.storage
        with self.translated_errors():
            # Optuna's load_if_exists writes first, which fails in a read-only folder.
            with suppress(KeyError):
                return optuna.load_study(study_name=self.study_name, storage=storage, pruner=optuna.pruners.NopPruner())
            return optuna.create_study(
                storage=storage,
                study_name=self.study_name,
                # The search itself decides on early stopping.
                pruner=optuna.pruners.NopPruner(),
                directions=[maximize] + [minimize] * (len(self.settings.objectives) - 1),
                load_if_exists=True,
            )

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Context manager that turns any error of the storage into a UserError."""
        from optuna.exceptions import OptunaError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, OptunaError, RuntimeError, ImportError) as error:
            what = "restore study.db from a copy" if self.settings.storage is None else f"check {self.storage}"
            reason = str(error).splitlines()[0]
            raise UserError(f"{self.folder}: its study cannot be read ({reason}): {what}") from error

    def __repr__(self) -> str:
        """Text such as `<Run runs/unet-1: unet.py on scenes, 2 candidates, winner unet (mIoU 0.412)>`."""
        settings = self.settings
        try:
            first = self.ranking.query("winner").iloc[0]
            state = f"winner {first['name']} (mIoU {first['miou']:.3f})"
        except UserError:
            state = "not finished"
        what = f"{Path(settings.space).name} on {settings.data}, {counted(settings.budget, 'candidate')}"
        return f"<Run {self.folder}: {what}, {state}>"

    def space(self) -> Recipe:
        """Load the space from the run's own copies of its files."""
        from nas.space import load_space

        return load_space(self.folder / "space.py")

    def checkpoint(self, digest: str, seed: int) -> Path:
        """Path of the weights of a candidate trained in full with a seed."""
        return self.folder / "checkpoints" / f"{digest}-{seed}.safetensors"

    def final_checkpoint(self, digest: str) -> Path:
        """Path of the weights of a candidate's final training."""
        return self.folder / "checkpoints" / f"{digest}-final.safetensors"

    @property
    def best_checkpoint(self) -> Path:
        """Path of the exported winner."""
        return self.folder / "best.safetensors"

    @property
    def ranking(self) -> pd.DataFrame:
        """The final ranking as a table.

        Raises:
            UserError: the run has not ended yet, or the table is damaged.
        """
        import pandas as pd

        path = self.folder / "ranking.csv"
        if not path.exists():
            raise UserError(f"{self.folder} has no ranking yet: finish it with nas-search --resume {self.folder}")
        try:
            # A hash may be all digits.
            table = pd.read_csv(path, index_col="rank", dtype={"hash": str, "name": str})
            missing = [name for name in COLUMNS if name not in table]
        except ValueError as error:  # pandas' own errors, and bytes that are not UTF-8
            raise UserError(
                f"{path} cannot be read ({str(error).splitlines()[0]}): remove it and resume the run"
            ) from None
        if missing:
            raise UserError(f"{path} cannot be read (it has no column {missing[0]}): remove it and resume the run")
        if len(table) and (table["winner"].dtype != bool or table["winner"].sum() != 1):
            raise UserError(f"{path} cannot be read (it must name one winner): remove it and resume the run")
        return table

    def frame(self) -> pd.DataFrame:
        """A table with a row per trial: outcome, score, costs, and a column per parameter path."""
        import pandas as pd

        from nas.record import records

        rows: list[dict[str, Any]] = []
        for record in records(self.study()):
            keep = ("outcome", "hash", "params", "macs", "seconds", "peak_mb", "latency_ms", "reason")
            kept = {name: None if (value := getattr(record, name)) == "" else value for name in keep}
            rungs = {f"rung {step}": value for step, value in sorted(record.rungs.items())}
            rows.append({"trial": record.number, "miou": record.score, **kept, **rungs, **record.trial.params})
        return pd.DataFrame(rows).set_index("trial") if rows else pd.DataFrame()
