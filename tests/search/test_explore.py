"""The search itself on a pool that trains in no time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna

from nas import Choice
from nas.pool import Done, Job, Message
from nas.search import trials
from nas.search.explore import Exploration
from nas.search.progress import Progress
from nas.search.settings import Settings
from nas.search.stopping import make_stopping
from search_spaces.unet import space as unet

RESULT = {"steps": 1, "seconds": 1.0, "step_seconds": 1.0, "peak_mb": 1.0, "latency_ms": None, "logs": {}}


class Instant:
    """A pool of one worker that is done at once."""

    slots = 1

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def idle(self) -> int:
        return 1 - len(self.jobs)

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def messages(self, timeout: float) -> Iterator[Message]:
        while self.jobs:
            yield Done(self.jobs.pop(), {**RESULT, "warnings": {}, "miou": 0.5})


class Stubborn(optuna.samplers.RandomSampler):
    """Proposes the first label of everything."""

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return distribution.choices[0]


def test_a_sampler_that_repeats_itself_does_not_leave_a_small_space_untried(tmp_path: Path) -> None:
    space = replace(unet, norm=Choice("batch", "layer", "group", "switch"), clip=Choice(0.0, 1.0, 2.0))
    study = optuna.create_study(sampler=Stubborn(), direction="maximize")
    exploration = Exploration(
        study=study,
        space=space,
        settings=Settings(space="unet.py", budget=20, steps=9),
        pool=Instant(),  # type: ignore[arg-type]
        halving=make_stopping("none", 9, 0),
        progress=Progress(20, "Searching"),
        cost_of=lambda candidate: {"params": 1, "macs": 1},
        checkpoint=lambda digest: tmp_path / digest,
    )
    exploration.run()
    assert trials.spent(study) == len(trials.by_hash(study)) == 12
