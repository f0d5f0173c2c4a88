"""Time that a default search would take on this machine, from a few training steps of its baselines on noise."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.controller.timing import Pace
    from nas.space import Recipe
    from nas.tasks.data import FewLabelData

__all__ = ["expected_time"]

STEPS = 3
"""Steps that are timed, after one warm-up step."""

IMAGES = 8
"""Images of noise that the steps are timed on."""


def expected_time(
    size: tuple[int, int], search_size: tuple[int, int] | None, classes: int, labelled: int, ranked: int, folds: int
) -> str:
    """Describe how long a default search would take, as the search itself does.

    Args:
        size: height and width at which the winner is trained.
        search_size: height and width at which candidates are compared, None for `size`.
        classes: number of classes.
        labelled: number of labelled images, which decides the steps.
        ranked: number of images that each candidate is validated on.
        folds: folds of the labelled images, 0 for one validation split.
    """
    import torch

    from nas.controller.timing import Clock, Paces, estimate, plan_text
    from nas.pool.devices import cpu_count
    from nas.runs.settings import Settings
    from nas.search_spaces.multitask import space
    from nas.stopping import make_stopping

    settings = Settings("multitask.py", size=size, search_size=search_size).with_steps(labelled)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    workers = gpus * settings.workers_per_gpu or cpu_count()
    data = _noise(search_size or size, classes)
    evaluated = ranked / max(folds, 1)
    device = "cuda" if gpus else "cpu"
    baselines = [baseline.candidate() for baseline in space.baselines]
    paces = Paces(tuple(_pace(baseline, data, evaluated, device) for baseline in baselines), ())
    rule = partial(make_stopping, settings.stopping, settings.full_steps, settings.seed)
    expected = estimate(settings, paces, workers, rule, folds, settings.budget, False, Clock())
    return plan_text(settings, paces, expected, workers, folds, Clock())


def _noise(size: tuple[int, int], classes: int) -> FewLabelData:
    import numpy as np

    from nas.tasks.data import FewLabelData, ImageSet

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, *size, 3), np.uint8)
    masks = rng.integers(0, classes, (IMAGES, *size), np.uint8)
    names, known = (tuple(map(str, range(count))) for count in (IMAGES, classes))
    labelled, unlabelled = ImageSet(images, masks, names), ImageSet(images, None, names)
    return FewLabelData("noise", known, ((0, 0, 0),) * classes, labelled, unlabelled, labelled, labelled)


def _pace(candidate: Recipe, data: FewLabelData, evaluated: float, device: str) -> Pace:
    """Measure the pace of a candidate; `evaluated` is the number of images of an evaluation."""
    import torch

    from nas.controller.timing import Pace
    from nas.training import Plan, train

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker
    try:
        train(candidate, data, Plan(1, (), device=device))
        trained = train(candidate, data, Plan(STEPS, (STEPS,), device=device))
    finally:
        torch.set_num_threads(threads)
    evaluation = trained.seconds - STEPS * trained.step_seconds
    return Pace(trained.step_seconds, evaluation / len(data.validation) * evaluated, trained.peak_mb)
