"""The recipe of a pretraining: an encoder and pretext tasks, from what a user writes and from a space."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nas.errors import UserError
from nas.space import Domain, Mix, Recipe, close, is_open, middle
from nas.space.walk import components

__all__ = ["Chosen", "choose_encoder", "choose_tasks"]

FINE_RATE = 0.2
"""Learning rate of an encoder that starts from given weights, as a share of the optimizer's."""


@dataclass(frozen=True)
class Chosen:
    """An encoder to pretrain.

    Attributes:
        recipe: the closed recipe that has the encoder, and the settings to train it with.
        code: what stands for the encoder in the code of a space, such as `fast.encoder`.
        name: what to call it in messages.
    """

    recipe: Recipe
    code: str
    name: str

    def use(self, weights: str) -> str:
        """The code of an encoder that starts from weights, such as `Timm("resnet18", weights="runs/pretrain-1")`."""
        from nas.models import Timm

        encoder = self.recipe.encoder
        if isinstance(encoder, Timm):
            return f'Timm("{encoder.name}", weights="{weights}")'
        norm = getattr(self.recipe.norm, "encoder", self.recipe.norm)
        return f'Pretrained({self.code}, weights="{weights}"), norm="{norm}"'


def choose_encoder(space: Recipe, file: str, encoder: Any = None, weights: str | None = None) -> Chosen:
    """Choose the encoder to pretrain.

    Args:
        space: the space. The recipe is that of the named baseline, else of its first one.
        file: name of the space's file, for messages.
        encoder: name of a baseline, name of a timm network, or a component. None for the first baseline, or for the
            recipe itself where the space is closed.
        weights: what the encoder starts from, as in `Timm(weights=...)`. None for what its component says.

    Raises:
        UserError: there is no such encoder, or one that takes no weights.
    """
    named = {space.baseline_name(i): baseline for i, baseline in enumerate(space.baselines)}
    if not is_open(space):
        named.setdefault("space", space.candidate())
    first = next(iter(named.values()), None)
    if encoder is None or (isinstance(encoder, str) and encoder in named):
        if first is None:
            raise UserError(f"{file} has no baseline whose encoder could be trained: name one of timm's by --encoder")
        name = encoder or next(iter(named))
        shown = file if name == "space" else f"{name} ({file})"
        return _trainable(named[name], f"{name}.encoder", shown, weights)
    part = _timm(encoder, list(named), file) if isinstance(encoder, str) else encoder
    if is_open(part):
        raise UserError("encoder has open fields: give every field a value")
    settings = first or _first_candidate(space)
    return _trainable(replace(settings, encoder=part), repr(part), getattr(part, "name", type(part).__name__), weights)


def _first_candidate(space: Recipe) -> Recipe:
    """A candidate with the typical settings of an open space without baselines."""
    recipe: Recipe = close(replace(space, pretext=()), middle)
    return recipe.candidate()


def _timm(name: str, baselines: Sequence[str], file: str) -> Any:
    """The timm encoder of that name."""
    from nas.models import Timm

    part = Timm(name)
    try:
        part.check_weights()
    except UserError as error:
        close_one = _meant(name, baselines).replace(",", ";")
        known = f" ({', '.join(baselines)}{close_one})" if baselines else ""
        raise UserError(f"--encoder {name}: {file} has no such baseline{known}, and {error}") from None
    return part


def _trainable(recipe: Recipe, code: str, name: str, weights: str | None) -> Chosen:
    """Make all stages of the encoder train, from the given weights if there are any."""
    from nas.models import Encoder, Pretrained, Timm

    encoder = recipe.encoder
    if isinstance(encoder, Encoder) and weights is not None:
        encoder = Pretrained(encoder, weights, rate=FINE_RATE)
    elif isinstance(encoder, Timm | Pretrained):
        if isinstance(encoder, Pretrained):
            code = code + ".encoder" if code.endswith(".encoder") else repr(encoder.encoder)
        encoder = replace(encoder, frozen=0, statistics="batch")
        if weights is not None:
            encoder = replace(encoder, weights=weights, rate=FINE_RATE)
    elif not isinstance(encoder, Encoder):
        raise UserError(
            f"the encoder of {name} cannot be used later: of all encoders only Encoder, Pretrained and Timm start "
            f"from weights, and this is a {type(encoder).__name__}"
        )
    return Chosen(replace(recipe, encoder=encoder).candidate(), code, name)


def choose_tasks(space: Recipe, wanted: str | Sequence[Any] | None = None) -> tuple[Any, ...]:
    """Choose the pretext tasks and their weights.

    Args:
        space: the space, whose tasks are used as it describes them.
        wanted: names with optional weights, such as "Rotation,Jigsaw:0.5" or ("Rotation", "Jigsaw:0.5"), or tasks.
            None for all tasks of the space, or all shipped ones where it has none. The weight is 1 by default.

    Raises:
        UserError: there is no such task, or no weight above 0.
    """
    from nas.tasks.pretext import Colorization, Denoising, Inpainting, Jigsaw, Rotation

    own = {type(task).__name__: task for task in _tasks_of(space)}
    shipped = {t.__name__: t() for t in (Inpainting, Denoising, Colorization, Jigsaw, Rotation)}
    if wanted is None:
        tasks = list((own or shipped).values())
    else:
        words = wanted.split(",") if isinstance(wanted, str) else wanted
        tasks = [_task(word, {**shipped, **own}) if isinstance(word, str) else word for word in words]
        _check_tasks(tasks)
    weighty = tuple(task for task in tasks if task.weight > 0)
    if not weighty:
        raise UserError("--pretext: every weight is 0, so there is nothing to learn: give one a weight above 0")
    return weighty


def _check_tasks(tasks: Sequence[Any]) -> None:
    names = [type(task).__name__ for task in tasks]
    for name, task in zip(names, tasks, strict=True):
        if not hasattr(task, "make_batch") or is_open(task):
            raise UserError(f"--pretext: {task!r} is no pretext task: give names, or closed tasks such as Jigsaw()")
        if names.count(name) > 1:
            raise UserError(f"--pretext names {name} twice: name it once")


def _tasks_of(space: Recipe) -> list[Any]:
    """The pretext tasks of a space, closed. In a Mix whose weights are open, each weighs 1."""
    tasks = []
    for part in components(space.pretext):
        if hasattr(part, "make_batch"):
            weight = space.pretext.weight if isinstance(space.pretext, Mix) else None
            weight = 1.0 if isinstance(weight, Domain) else weight
            tasks.append(close(part if weight is None else replace(part, weight=weight), middle))  # type: ignore[type-var]
    return tasks


def _task(text: str, known: dict[str, Any]) -> Any:
    """The task of a text such as "Jigsaw" or "Jigsaw:0.5"."""
    name, colon, weight = (part.strip() for part in text.partition(":"))
    found = next((task for label, task in known.items() if label.lower() == name.lower()), None)
    if found is None:
        there = ", ".join(known)
        raise UserError(
            f"--pretext {text.strip()!r}: there is no such task{_meant(name, list(known))}; there are {there}"
        )
    return replace(found, weight=_weight(text, weight) if colon else 1.0)


def _weight(text: str, weight: str) -> float:
    try:
        value = float(weight)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UserError(f"--pretext {text.strip()}: the weight must be a number of 0 or more, such as 0.5")
    return value


def _meant(name: str, known: Sequence[str]) -> str:
    """A hint at names that are close to an unknown one."""
    lower = {each.lower(): each for each in known}
    close_ones = [lower[each] for each in difflib.get_close_matches(name.lower(), lower, 3)]
    return f", did you mean {' or '.join(close_ones)}" if close_ones else ""
