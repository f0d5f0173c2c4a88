"""The search loop on an instant pool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas import Choice
from nas.controller.constraints import warnings_of_baselines
from nas.controller.enqueue import queue_baselines
from nas.controller.explore import Exploration
from nas.controller.progress import Progress
from nas.errors import UserError
from nas.pool import Done, Job, Message, Requeued, Rung
from nas.record import by_hash, records, used_budget
from nas.runs.settings import Settings
from nas.search_spaces.unet import space as unet
from nas.space import Recipe
from nas.stopping import make_stopping

RESULT = {
    "steps": 1,
    "seconds": 1.0,
    "step_seconds": 1.0,
    "peak_mb": 1.0,
    "latency_ms": None,
    "logs": {},
    "cached": False,
}


class Instant:
    """A pool of one worker that ends each job at once."""

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


def explore(study: optuna.Study, space: Recipe, folder: Path, budget: int) -> None:
    Exploration(
        study=study,
        space=space,
        settings=Settings(space="unet.py", budget=budget, steps=9),
        pool=Instant(),  # type: ignore[arg-type]
        stopping=make_stopping("none", 9, 0),
        progress=Progress(budget, "Searching"),
        cost_of=lambda candidate: {"params": 1, "macs": 1},
        checkpoint=lambda digest: folder / digest,
    ).run()


class Stubborn(optuna.samplers.RandomSampler):
    """A sampler that always proposes the first choice."""

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return distribution.choices[0]


def test_a_small_space_is_tried_completely_although_the_sampler_repeats_itself(tmp_path: Path) -> None:
    space = replace(unet, norm=Choice("batch", "layer", "group", "switch"), clip=Choice(0.0, 1.0, 2.0))
    study = optuna.create_study(sampler=Stubborn(), direction="maximize")
    explore(study, space, tmp_path, budget=20)
    assert used_budget(study) == len(by_hash(study)) == 12


def test_a_single_recipe_is_tried_once(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    space = replace(unet, baselines=(unet, replace(unet, clip=1.0)), baseline_names=("unet", "clipped"))
    queue_baselines(study, space)
    explore(study, space, tmp_path, budget=5)
    assert used_budget(study) == 2
    assert len(study.trials) <= 4
    assert [record.name for record in records(study)[:2]] == ["unet", "clipped"]


def test_trials_that_break_a_constraint_store_their_reason(tmp_path: Path) -> None:
    space = replace(unet, norm=Choice("batch", "layer"), clip=Choice(0.0, 1.0)).where(lambda c: c.norm == "layer")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), direction="maximize")
    explore(study, space, tmp_path, budget=3)  # there are two, so the space is exhausted
    refused = [record for record in records(study) if record.free]
    assert refused and {record.trial.params["norm"] for record in refused} == {"batch"}
    assert {(record.outcome, record.reason) for record in refused} == {("infeasible", "constraint 0 is not met")}


def test_a_search_without_a_candidate_that_meets_the_constraints_ends_with_an_error(tmp_path: Path) -> None:
    space = replace(unet, norm=Choice("batch", "layer")).where(lambda c: False)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), direction="maximize")
    with pytest.raises(UserError, match="no candidate passed the space's constraints in 100 draws"):
        explore(study, space, tmp_path, budget=3)


def test_a_baseline_outside_the_constraints_gives_a_warning() -> None:
    space = replace(unet, baselines=(unet, replace(unet, norm="layer")), baseline_names=("unet", ""))
    assert warnings_of_baselines(space.where(lambda c: c.norm == "batch")) == [
        "baseline 1 does not meet constraint 0 of the space; it is trained anyway"
    ]
    assert warnings_of_baselines(space.where(lambda c: c.norm.missing)) == [
        "unet: a constraint of the space fails on it ('str' object has no attribute 'missing'); it is trained anyway",
        "baseline 1: a constraint of the space fails on it ('str' object has no attribute 'missing'); "
        "it is trained anyway",
    ]


class Mortal(Instant):
    """A pool whose worker dies on a stopped job. The job runs again, from its state if that is kept."""

    def __init__(self, kept: bool) -> None:
        super().__init__()
        self.kept, self.answers = kept, []  # type: ignore[var-annotated]

    def answer(self, number: int, go_on: bool) -> None:
        self.answers.append(go_on)

    def messages(self, timeout: float) -> Iterator[Message]:
        job = self.jobs.pop()
        yield Rung(job, 1, 0.5)
        yield Rung(job, 3, 0.1)
        assert self.answers == [True, False]
        yield Requeued(job, "killed")
        steps = (9,) if self.kept else (1, 3, 9)
        for step in steps:
            yield Rung(job, step, 0.9 if step == 9 else 0.1)
            if not self.answers[-1]:
                break
        yield Done(job, {**RESULT, "warnings": {}, "miou": 0.9, "steps": step})


class Strict:
    """A stopping rule that passes scores of at least one half."""

    rungs = (1, 3, 9)

    def __init__(self, promotes: bool) -> None:
        self.promotes = promotes

    def goes_on(self, number: int, step: int, value: float) -> bool:
        return value >= 0.5

    def record(self, number: int, step: int, value: float) -> None: ...

    def describe(self) -> str:
        return ""


@pytest.mark.parametrize(
    ("kept", "answers", "how"),
    [(False, [True, False], "pruned"), (True, [True], "complete")],
    ids=["from the start", "from its state"],
)
def test_a_worker_that_dies_after_it_was_told_to_stop(
    tmp_path: Path, kept: bool, answers: list[bool], how: str
) -> None:
    study = optuna.create_study(direction="maximize")
    pool = Mortal(kept)
    Exploration(
        study=study,
        space=replace(unet, baselines=()),
        settings=Settings(space="unet.py", budget=1, steps=9),
        pool=pool,  # type: ignore[arg-type]
        stopping=Strict(promotes=kept),  # type: ignore[arg-type]
        progress=Progress(1, "Searching"),
        cost_of=lambda candidate: {"params": 1, "macs": 1},
        checkpoint=lambda digest: tmp_path / digest,
    ).run()
    assert pool.answers[2:] == answers
    assert [record.outcome for record in records(study)] == [how]
