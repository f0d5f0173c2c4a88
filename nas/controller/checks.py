"""Checks before a run begins: settings that do not fit together, and spaces that cannot be built."""

from __future__ import annotations

import logging
from typing import Any

from nas.controller.enqueue import best_candidates
from nas.errors import UserError
from nas.runs.run import Run
from nas.runs.settings import Settings
from nas.space import Int, Recipe, is_open, parameters, priors

__all__ = ["check_builds", "check_holdout", "check_sampler", "check_warm_start", "study_names"]

log = logging.getLogger("nas")

MAX_GP_RANGE = 100_000
"""Integers in a range above which --sampler gp is refused, since it enumerates them."""


def check_holdout(settings: Settings, space: Recipe) -> None:
    """Check that `--no-holdout` is used with a single closed recipe only.

    Raises:
        UserError: the space is open, or has baselines.
    """
    if not settings.holdout and (is_open(space) or space.baselines):
        raise UserError(
            "--no-holdout leaves only the test split to score on, which must not choose between candidates: "
            "give a closed recipe without baselines"
        )


def _is_wide(domain: Any) -> bool:
    return isinstance(domain, Int) and domain.hi - domain.lo > MAX_GP_RANGE


def check_sampler(settings: Settings, space: Any) -> None:
    """Check that sampler, early stopping, objectives and space fit together.

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
            samplers = ", ".join(MULTI_OBJECTIVE_SAMPLERS)
            raise UserError(f"--sampler {settings.sampler} supports a single objective: choose from {samplers}")
        if settings.stopping not in ("halving", "none"):
            raise UserError(f"--stopping {settings.stopping} supports a single objective: choose halving or none")
    if settings.latency_on == "cuda" and not torch.cuda.is_available():
        raise UserError("--latency-on cuda: there is no GPU here")
    if settings.sampler == "gp" and (wide := [p.path for p in parameters(space) if _is_wide(p.domain)]):
        raise UserError(
            f"--sampler gp enumerates integers: the range of {wide[0]} is too large, choose another sampler"
        )
    if settings.sampler != "surrogate" and (paths := priors(space)):
        log.warning("Only --sampler surrogate uses priors; they are ignored: %s.", ", ".join(paths))


def study_names(settings: Settings) -> list[str]:
    """Names of the studies in a storage of the user's own; empty for a study in the run's folder.

    Raises:
        UserError: the storage cannot be opened.
    """
    import optuna

    if settings.storage is None:
        return []
    try:
        return optuna.get_all_study_names(settings.storage)
    except Exception as error:  # errors differ by database
        raise UserError(
            f"--storage {settings.storage} cannot be opened ({str(error).splitlines()[0]}): "
            "write an Optuna URL such as sqlite:////PATH/study.db"
        ) from error


def check_builds(space: Recipe, data: Any) -> None:
    """Build and try the recipe, or random candidates of the space, and its baselines, so that mistakes show early.

    Raises:
        UserError: a recipe cannot be built, or an option of the space works in no candidate.
    """
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
    except (Exception, SystemExit) as error:  # spaces hold user code
        raise UserError(f"{name} cannot be built: {reason_of(error)}") from error


def check_warm_start(settings: Settings) -> None:
    """Check that the run of `--warm-start` has candidates that were trained in full.

    Raises:
        UserError: it has none, or there is no such run.
    """
    if settings.warm_start is not None:
        best_candidates(Run(settings.warm_start))
