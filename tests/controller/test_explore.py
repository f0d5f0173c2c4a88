"""The search itself on a pool that trains in no time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas import Choice
from nas.controller.enqueue import queue_baselines
from nas.controller.explore import Exploration, outside_constraints
from nas.controller.progress import Progress
from nas.errors import UserError
from nas.pool import Done, Job, Message, Requeued, Rung
from nas.record import by_hash, records, used_budget
from nas.runs.settings import Settings
from nas.search_spaces.unet import space as unet
from nas.space import Recipe
from nas.stopping import make_stopping

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
    """Proposes the first label of everything."""

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return distribution.choices[0]


def test_a_sampler_that_repeats_itself_does_not_leave_a_small_space_untried(tmp_path: Path) -> None:
    space = replace(unet, norm=Choice("batch", "layer", "group", "switch"), clip=Choice(0.0, 1.0, 2.0))
    study = optuna.create_study(sampler=Stubborn(), direction="maximize")
    explore(study, space, tmp_path, budget=20)
    assert used_budget(study) == len(by_hash(study)) == 12


def test_a_single_recipe_is_not_drawn_again_and_again(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    space = replace(unet, baselines=(unet, replace(unet, clip=1.0)), baseline_names=("unet", "clipped"))
    queue_baselines(study, space)
    explore(study, space, tmp_path, budget=5)
    assert used_budget(study) == 2
    assert len(study.trials) <= 4
    assert [record.name for record in records(study)[:2]] == ["unet", "clipped"]


def test_draws_that_break_a_constraint_are_known_with_their_reason(tmp_path: Path) -> None:
    space = replace(unet, norm=Choice("batch", "layer"), clip=Choice(0.0, 1.0)).where(lambda c: c.norm == "layer")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), direction="maximize")
    explore(study, space, tmp_path, budget=3)  # there are two, so all is drawn
    refused = [record for record in records(study) if record.free]
    assert refused and {record.trial.params["norm"] for record in refused} == {"batch"}
    assert {(record.outcome, record.reason) for record in refused} == {("infeasible", "constraint 0 is not met")}


def test_a_search_whose_draws_all_break_a_constraint_ends_with_that(tmp_path: Path) -> None:
    space = replace(unet, norm=Choice("batch", "layer")).where(lambda c: False)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), direction="maximize")
    with pytest.raises(UserError, match="no candidate passed the space's constraints in 100 draws"):
        explore(study, space, tmp_path, budget=3)


def test_a_baseline_outside_the_constraints_is_named() -> None:
    space = replace(unet, baselines=(unet, replace(unet, norm="layer")), baseline_names=("unet", ""))
    assert outside_constraints(space.where(lambda c: c.norm == "batch")) == [
        "baseline 1 does not meet constraint 0 of the space; it is trained anyway"
    ]
    assert outside_constraints(space.where(lambda c: c.norm.missing)) == [
        "unet: a constraint of the space fails on it ('str' object has no attribute 'missing'); it is trained anyway",
        "baseline 1: a constraint of the space fails on it ('str' object has no attribute 'missing'); "
        "it is trained anyway",
    ]


class Mortal(Instant):
    """A pool whose worker dies on the job that is told to stop, and runs it again from the beginning, or from there."""

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
    """Lets on what scores over a half, or just that."""

    rungs = (1, 3, 9)

    def __init__(self, promotes: bool) -> None:
        self.promotes = promotes

    def goes_on(self, number: int, step: int, value: float) -> bool:
        return value >= 0.5

    def record(self, number: int, step: int, value: float) -> None: ...

    def describe(self) -> str:
        return ""


@pytest.mark.parametrize(
    ("kept", "answers", "how"), [(False, [True, False], "pruned"), (True, [True], "complete")], ids=["anew", "goes on"]
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
