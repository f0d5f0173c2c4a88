"""What is refused before a run's folder is made: settings that do not go together, spaces that cannot be built."""

from __future__ import annotations

import logging
from typing import Any

from nas.controller.enqueue import best_of
from nas.errors import UserError
from nas.runs.run import Run
from nas.runs.settings import Settings
from nas.space import Int, Recipe, is_open, parameters, priors

__all__ = ["check_builds", "check_holdout", "check_sampler", "check_start", "studies_there"]

log = logging.getLogger("nas")

WIDE = 100_000
"""Whole numbers in a range beyond which a sampler that looks at each of them is refused."""


def check_holdout(settings: Settings, space: Recipe) -> None:
    """Refuse `--no-holdout` for spaces in which something is chosen.

    Raises:
        UserError: the space is open, or has baselines.
    """
    if not settings.holdout and (is_open(space) or space.baselines):
        raise UserError(
            "--no-holdout leaves only the test split to score on, by which nothing may be chosen: "
            "give a closed recipe without baselines"
        )


def _is_wide(domain: Any) -> bool:
    return isinstance(domain, Int) and domain.hi - domain.lo > WIDE


def check_sampler(settings: Settings, space: Any) -> None:
    """Check that sampler, early stopping, objectives and space go together.

    Raises:
        UserError: they do not, or one of them is unknown.
    """
    import torch

    from nas.samplers import MULTI_OBJECTIVE_SAMPLERS, make_sampler
    from nas.stopping import make_stopping

    make_sampler(settings.sampler, settings.seed)
    make_stopping(settings.stopping, 1, settings.seed)
    if len(settings.objectives) > 1:
        if settings.sampler not in MULTI_OBJECTIVE_SAMPLERS:
            able = ", ".join(MULTI_OBJECTIVE_SAMPLERS)
            raise UserError(f"--sampler {settings.sampler} serves one objective: choose from {able}")
        if settings.stopping not in ("halving", "none"):
            raise UserError(f"--stopping {settings.stopping} serves one objective: choose halving or none")
    if settings.latency_on == "cuda" and not torch.cuda.is_available():
        raise UserError("--latency-on cuda: there is no GPU here")
    if settings.sampler == "gp" and (wide := [p.path for p in parameters(space) if _is_wide(p.domain)]):
        raise UserError(f"--sampler gp looks at every whole number of a range: {wide[0]} has too many for it")
    if settings.sampler != "surrogate" and (believed := priors(space)):
        log.warning("Only --sampler surrogate takes account of priors: %s.", ", ".join(believed))


def studies_there(settings: Settings) -> list[str]:
    """The names of the studies in a storage of the user's own.

    Raises:
        UserError: when it cannot be opened.
    """
    import optuna

    if settings.storage is None:
        return []
    try:
        return optuna.get_all_study_names(settings.storage)
    except Exception as error:  # of whichever database it is
        raise UserError(
            f"--storage {settings.storage} cannot be opened ({str(error).splitlines()[0]}): "
            "write an Optuna URL such as sqlite:////PATH/study.db"
        ) from error


def check_builds(space: Recipe, data: Any) -> None:
    """Build what is given in full, and what the space leaves open in a few draws: a mistake in it is found at once."""
    from nas.controller.tryout import check_options, try_candidate

    for i, baseline in enumerate(space.baselines):
        _build(space.baseline_names[i] or f"baselines.{i}", baseline, data)
    if not is_open(space):
        _build("the recipe", space.candidate(), data)
    else:
        check_options(space, lambda candidate: try_candidate(candidate, data))


def _build(name: str, recipe: Recipe, data: Any) -> None:
    from nas.controller.tryout import reason_of, take_a_step
    from nas.models import build_network
    from nas.training import class_pixels, cost

    classes = len(data.classes)
    try:
        cost(recipe, data.size, classes)
        network = build_network(recipe, classes)
        for task in recipe.pretext:
            task.head(network.encoder.channels, network.encoder.reductions)
        recipe.loss.build(class_pixels(data.labelled, classes))
        recipe.method.build(network, classes)
        recipe.optimizer.build(network)
        take_a_step(recipe, data)
    except (Exception, SystemExit) as error:  # a space may hold parts of anyone's making
        raise UserError(f"{name} cannot be built: {reason_of(error)}") from error


def check_start(settings: Settings) -> None:
    """Check that the run to warm-start from has candidates.

    Raises:
        UserError: it has none, or there is no such run.
    """
    if settings.warm_start is not None:
        best_of(Run(settings.warm_start))
