"""What a run began with, so that it goes on with nothing else: its space and its images."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from nas.errors import UserError
from nas.files import replacing
from nas.search.run import Run
from nas.space import Recipe, space_to_data

if TYPE_CHECKING:
    import optuna

__all__ = ["check_images", "check_space", "keep_space"]

PARTS = ("labelled", "unlabelled", "validation", "test")

IMAGES = "images"
"""Study attribute: how many images each part held when the run began, and a digest of which."""


def keep_space(run: Run, space: Recipe) -> None:
    """Write the space down as data, for people and for `check_space`."""
    with replacing(run.folder / "space.json") as path:
        path.write_text(json.dumps(space_to_data(space), indent=1) + "\n")


def check_space(run: Run) -> None:
    """Compare the run's space with the one it began with.

    Raises:
        UserError: they differ.
    """
    try:
        kept = json.loads((run.folder / "space.json").read_text())
    except (OSError, ValueError):
        return
    if json.loads(json.dumps(space_to_data(run.space()))) != kept:
        raise UserError(
            f"{run.folder}/space.py is not the space this run began with: undo the change, or start a new run with "
            f"--space {run.folder}/space.py --warm-start {run.folder}"
        )


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
