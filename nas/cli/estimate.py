"""What a default search of a set would take here, from a few real steps of a small network."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Estimate", "estimate_search"]

PROBED = 6
"""Steps that are timed, after one that is not."""

GOES_ON = 0.26
"""Share of a full training that a candidate takes on average if two thirds are stopped at a ninth, and at a third."""


@dataclass(frozen=True)
class Estimate:
    """What a default search would take.

    Attributes:
        step_seconds: one optimizer step of the baseline `fast`.
        candidate_seconds: its full training, three validations included.
        search_minutes: 200 candidates and the final ranking, if the others cost as much.
        peak_gb: memory of all workers.
        workers: processes that train at once.
        steps: optimizer steps of a full training.
    """

    step_seconds: float
    candidate_seconds: float
    search_minutes: float
    peak_gb: float
    workers: int
    steps: int

    def __str__(self) -> str:
        minutes = self.search_minutes
        whole = f"{minutes / 60:.1f} h" if minutes > 90 else f"{max(1, round(minutes))} min"
        return (
            f"a step takes {self.step_seconds:.2g} s here, a full training of {self.steps} steps about "
            f"{self.candidate_seconds:.0f} s, a default search of 200 candidates on {self.workers} "
            f"{'worker' if self.workers == 1 else 'workers'} about {whole} and {self.peak_gb:.1f} GB"
        )


def estimate_search(size: tuple[int, int], classes: int, labelled: int, ranked: int) -> Estimate:
    """Time a few steps of `fast` on noise at a size, and extrapolate them to a default search.

    Args:
        size: height and width.
        classes: how many.
        labelled: images with labels, which decide the steps.
        ranked: images that each candidate is validated on.
    """
    import numpy as np
    import torch

    from nas.pool.devices import cpu_count
    from nas.runs.settings import Settings
    from nas.search_spaces.multitask import fast
    from nas.tasks.data import FewLabelData, ImageSet
    from nas.training import Plan, train

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, *size, 3), np.uint8)
    some = ImageSet(images, rng.integers(0, classes, (8, *size), np.uint8), tuple(map(str, range(8))))
    names = tuple(map(str, range(classes)))
    data = FewLabelData("noise", names, ((0, 0, 0),) * classes, some, ImageSet(images, None, some.names), some, some)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    settings = Settings("multitask.py", data="folder:.").with_steps(labelled)
    workers = gpus * settings.workers_per_gpu if gpus else cpu_count()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker
    try:
        device = "cuda" if gpus else "cpu"
        train(fast, data, Plan(1, (1,), device=device))
        trained = train(fast, data, Plan(PROBED, (PROBED,), device=device))
    finally:
        torch.set_num_threads(threads)
    validating = (trained.seconds - PROBED * trained.step_seconds) / len(some) * ranked
    candidate = settings.full_steps * trained.step_seconds + 3 * validating
    ranking = (settings.best + 3) * settings.repeats
    minutes = (GOES_ON * settings.budget + ranking) * candidate / workers / 60
    return Estimate(
        trained.step_seconds,
        candidate,
        minutes,
        workers * trained.peak_mb / 1000,
        workers,
        settings.full_steps,
    )
