"""A small hand-made run: a real Optuna study in a real folder, with trials of each outcome."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from nas.controller.contenders import Contender
from nas.controller.ranking import rank
from nas.models import Encoder, LinkNet, Plain, Stage, UNet
from nas.record import end
from nas.runs.run import Run
from nas.runs.settings import Settings
from nas.space import Recipe, candidate_hash, to_json
from nas.tasks import CrossEntropy, Denoising, Supervised
from nas.training import SGD, Adam

STEPS = 90
TRACE = "Traceback (most recent call last):\n  File 'x.py', line 1\nValueError: <b>wide</b>"


def recipe(width: int = 4, **fields: Any) -> Recipe:
    parts: dict[str, Any] = {
        "encoder": Encoder(stages=(Stage(block=Plain(), width=width), Stage(block=Plain(), width=2 * width))),
        "decoder": UNet(),
        "loss": CrossEntropy(),
        "method": Supervised(),
        "optimizer": Adam(),
    }
    return Recipe(**{**parts, **fields})


def add(study: optuna.Study, candidate: Recipe, outcome: str, rungs: dict[int, float], **attrs: Any) -> None:
    """Add a finished trial, as a search would record it."""
    trial = study.ask()
    trial.set_user_attr("hash", candidate_hash(candidate))
    trial.set_user_attr("candidate", to_json(candidate))
    for step, value in rungs.items():
        trial.report(value, step)
    end(study, trial, outcome, rungs[STEPS] if outcome == "complete" else None, **attrs)


def new_run(folder: Path, **settings: Any) -> Run:
    folder.mkdir(parents=True)
    Settings(**{"space": "small.py", "budget": 20, "steps": STEPS, **settings}).write(folder)
    return Run(folder)


CANDIDATES = [
    recipe(4),
    recipe(8, norm="switch"),
    recipe(8, decoder=LinkNet(), pretext=(Denoising(),)),
    recipe(16, optimizer=SGD()),
]


@pytest.fixture(scope="session")
def candidates() -> list[Recipe]:
    """The candidates of the complete trials of `run`, in order."""
    return CANDIDATES


@pytest.fixture(scope="session")
def start() -> Callable[..., Run]:
    """start(folder, **settings): a run without a study."""
    return new_run


@pytest.fixture(scope="session")
def add_trial() -> Callable[..., None]:
    """add_trial(study, candidate, outcome, rungs, **attributes)."""
    return add


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Four complete trials (the first a baseline), one of each other outcome."""
    run = new_run(tmp_path_factory.mktemp("runs") / "small-1")
    study = run.study()
    costs = {"seconds": 12.5, "peak_mb": 300.0}
    scores = [(0.30, 0.40, 0.50), (0.20, 0.45, 0.60), (0.25, 0.50, 0.70), (0.10, 0.35, 0.40)]
    for i, (candidate, values) in enumerate(zip(CANDIDATES, scores, strict=True)):
        baseline = {"baseline": 0} if i == 0 else {}
        rungs = dict(zip((10, 30, STEPS), values, strict=True))
        add(study, candidate, "complete", rungs, params=10_000 * (i + 1), macs=2_000_000, **costs, **baseline)
    add(study, recipe(5), "pruned", {10: 0.05}, params=15_000, **costs)
    add(study, recipe(6), "failed", {}, reason="ValueError: <b>wide</b>", traceback=TRACE)
    add(study, recipe(7), "infeasible", {}, reason="constraint 0 is not met", free=True)
    add(study, recipe(9), "lost", {}, reason="the worker died")
    return run


@pytest.fixture(scope="module")
def table(run: Run) -> pd.DataFrame:
    """The ranking as the search computes it, with one failed training."""
    seeds: dict[str, dict[str, Any]] = {}
    finals = {0: (0.50, 0.52, 0.48), 1: (0.60, 0.70, 0.65), 2: (0.70, 0.64, 0.70)}
    for i, values in finals.items():
        trained = {str(s): {"miou": v, "seconds": 10.0 + s, "peak_mb": 300.0} for s, v in enumerate(values)}
        seeds[candidate_hash(CANDIDATES[i])] = trained
    seeds[candidate_hash(CANDIDATES[0])]["2"] = {"error": "RuntimeError: no <luck>"}
    entrants = [
        Contender(to_json(CANDIDATES[i]), candidate_hash(CANDIDATES[i]), i, 0 if i == 0 else None) for i in finals
    ]
    return rank(entrants, seeds, run.study())
