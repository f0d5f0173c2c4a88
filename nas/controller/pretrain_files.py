"""The files in the folder of a pretraining, beside the weights."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.components import know_components
from nas.controller.pretext_recipe import Chosen
from nas.errors import UserError
from nas.files import replacing
from nas.runs.settings import Settings, settings_of
from nas.space import SpaceError, from_json, load_space

if TYPE_CHECKING:
    from nas.training.pretext import PretextScore

__all__ = ["BEST", "CURVE", "STATE", "read_curve", "read_record", "write_curve", "write_record"]

BEST = "best.safetensors"
"""The trained encoder, by the name of a run's checkpoint. A pretraining is finished when it is there."""

RECORD = "pretrain.json"
"""What is trained, and at the end what was learnt."""

CURVE = "pretraining.csv"
"""Scores on held-out images."""

STATE = "unfinished.pt"
"""State of an unfinished training."""


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write what is trained into the folder."""
    with replacing(folder / RECORD) as path:
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_record(folder: Path) -> tuple[Settings, Chosen, str]:
    """Read settings, encoder and the digest of the images of a pretraining. The space file is run.

    Raises:
        UserError: the folder is no pretraining, or the space has lost a component.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        settings = settings_of(**record["settings"])
        encoder, digest = record["encoder"], record["images"]["digest"]
        recipe = json.dumps(record["recipe"])
    except (OSError, ValueError, LookupError, TypeError):
        raise UserError(f"{folder} is not a pretraining: it has no readable {RECORD}") from None
    know_components()
    with suppress(SpaceError):  # needed only for components that it defines
        load_space(settings.space)
    return settings, Chosen(from_json(recipe), encoder["code"], encoder["name"]), digest


def write_curve(folder: Path, scores: Mapping[int, Sequence[PretextScore]]) -> None:
    """Write the scores on held-out images, by step, as a table with a row for each step and task."""
    from nas.training.pretext import PretextScore

    with replacing(folder / CURVE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *(each.name for each in fields(PretextScore))])
        writer.writerows((step, *astuple(score)) for step, row in sorted(scores.items()) for score in row)


def read_curve(folder: Path) -> dict[int, list[PretextScore]]:
    """Read the table that `write_curve` wrote."""
    from nas.training.pretext import PretextScore

    scores: dict[int, list[PretextScore]] = {}
    with (folder / CURVE).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            accuracy, chance = (float(row[name]) if row[name] else None for name in ("accuracy", "chance"))
            score = PretextScore(row["task"], float(row["loss"]), accuracy, chance)
            scores.setdefault(int(row["step"]), []).append(score)
    return scores
