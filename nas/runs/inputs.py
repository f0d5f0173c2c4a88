"""The space and the images of a run: stored when it begins, compared when it is resumed."""

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
"""Study attribute: the number of images of each part when the run began, and a digest of their names."""


def keep_space(run: Run, path: Path) -> None:
    """Copy a space file and the modules beside it that it imports into a new run, and write space.json.

    Raises:
        UserError: the copy does not load, so that no worker could load it; the run is removed.
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
            f"{path} loads in its folder, but not from the copy that a run keeps ({error}): open files other than "
            "modules beside it by their full paths"
        ) from None
    with replacing(run.folder / "space.json") as file:
        file.write_text(json.dumps(data, indent=1) + "\n")


def check_space(run: Run) -> None:
    """Check that the run's space and the code of its files have not changed since the run began.

    Raises:
        UserError: they have changed.
    """
    try:
        kept = json.loads((run.folder / "space.json").read_text())
        digests = kept.pop(FILES, {})  # an earlier version stored none
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
    """Digests of the files of the run's space, by their paths in the run."""
    space = run.folder / "space.py"
    files = {"space.py": space, **{f"{MODULES}/{name}": file for name, file in imported_modules(space).items()}}
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}


def check_images(study: optuna.Study, data: Any) -> None:
    """Check that the images are those that the study began with. The first call stores what they are.

    Raises:
        UserError: they are others, so old and new scores could not be compared.
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
    content = json.dumps([data.classes, data.size, names])
    counts = {part: len(names[part]) for part in PARTS}
    return {**counts, "digest": hashlib.sha256(content.encode()).hexdigest()}


def _counts(images: dict[str, Any]) -> str:
    return ", ".join(f"{images[part]} {part}" for part in PARTS)
