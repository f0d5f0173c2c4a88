"""What a run began with, so that it goes on with nothing else: its space and its images."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import UserError
from nas.files import replacing
from nas.runs.run import Run
from nas.space import SpaceError, space_to_data
from nas.space.local_modules import MODULES, imported_modules

if TYPE_CHECKING:
    import optuna

__all__ = ["check_images", "check_space", "keep_space"]

PARTS = ("labelled", "unlabelled", "validation", "test")

FILES = "files"
"""Key of `space.json`: a digest of each file of the space."""

IMAGES = "images"
"""Study attribute: how many images each part held when the run began, and a digest of which."""


def keep_space(run: Run, path: Path) -> None:
    """Copy a space file, and the modules beside it that it imports, into a new run; write the space down as data too.

    Raises:
        UserError: the copy does not load, so that no worker could; the run is removed.
    """
    copies = {run.folder / "space.py": path}
    copies |= {run.folder / MODULES / name: file for name, file in imported_modules(path).items()}
    for copy, file in copies.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    try:
        data = {**space_to_data(run.space()), FILES: _digests(run)}
    except SpaceError as error:
        shutil.rmtree(run.folder)
        raise UserError(
            f"{path} loads where it is, but not from the copy that a run keeps ({error}): have it open files other "
            "than modules beside it by their full paths"
        ) from None
    with replacing(run.folder / "space.json") as file:
        file.write_text(json.dumps(data, indent=1) + "\n")


def check_space(run: Run) -> None:
    """Compare the run's space, and the code of its files, with what the run began with.

    Raises:
        UserError: they differ.
    """
    try:
        kept = json.loads((run.folder / "space.json").read_text())
        digests = kept.pop(FILES, {})  # an earlier version kept none
    except (OSError, ValueError, AttributeError):
        return
    found = _digests(run) if digests else {}
    changed = [name for name in {**digests, **found} if digests.get(name) != found.get(name)]
    if changed or json.loads(json.dumps(space_to_data(run.space()))) != kept:
        name = changed[0] if changed else "space.py"
        raise UserError(
            f"{run.folder}/{name} is not {'' if name == 'space.py' else 'part of '}the space this run began with: "
            f"undo the change, or start a new run with --space {run.folder}/space.py --warm-start {run.folder}"
        )


def _digests(run: Run) -> dict[str, str]:
    """A digest of each file of the run's space, by its path in the run."""
    space = run.folder / "space.py"
    files = {"space.py": space, **{f"{MODULES}/{name}": file for name, file in imported_modules(space).items()}}
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}


def check_images(study: optuna.Study, data: Any) -> None:
    """Compare the images with those the study began with, or at its first call keep what they are.

    Raises:
        UserError: they are others, so that old scores and new ones could not be compared.
    """
    found = _images(data)
    kept = study.user_attrs.get(IMAGES)
    if kept is None:
        study.set_user_attr(IMAGES, found)
    elif kept["digest"] != found["digest"]:
        raise UserError(
            f"{data.name} does not hold the images this run began with ({_counts(kept)}; now {_counts(found)}): "
            "put them back, or start a new run"
        )


def _images(data: Any) -> dict[str, Any]:
    names = {part: getattr(data, part).names for part in PARTS}
    told = json.dumps([data.classes, data.size, names])
    return {**{part: len(held) for part, held in names.items()}, "digest": hashlib.sha256(told.encode()).hexdigest()}


def _counts(images: dict[str, Any]) -> str:
    return ", ".join(f"{images[part]} {part}" for part in PARTS)
