"""Samplers in Optuna studies of users: fixed values, attributes, constraints, Hyperband, several processes."""

from __future__ import annotations

import functools
import math
import pickle
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.samplers import EvolutionSampler, LocalSearchSampler, NNISampler, SurrogateSampler, make_sampler
from nas.samplers.column import Column
from nas.samplers.proposing import ProposingSampler
from nas.samplers.scores import gaussian_ranks, robust_scores

PROPOSING = pytest.mark.parametrize("make", [SurrogateSampler, LocalSearchSampler], ids=lambda m: m.__name__)


def grid(trial: optuna.Trial) -> float:
    """Score with 32 combinations for each of eight choices."""
    label = trial.suggest_categorical("label", list("abcdefgh"))
    b, c, d = trial.suggest_int("b", 0, 3), trial.suggest_int("c", 0, 3), trial.suggest_int("d", 0, 1)
    return abs(b - 2) + abs(c - 1) + d + ord(label) % 3


def distinct(trials: list[FrozenTrial]) -> int:
    return len({tuple(sorted(t.params.items())) for t in trials})


@PROPOSING
def test_partly_enqueued_trials_are_completed(make: type[ProposingSampler]) -> None:
    study = optuna.create_study(sampler=make(seed=0))
    study.optimize(grid, n_trials=20)
    for _ in range(24):
        study.enqueue_trial({"c": 3, "label": "c"})
    study.optimize(grid, n_trials=8)
    asked = [t for t in study.trials if (t.params.get("c"), t.params.get("label")) == (3, "c")]
    assert len(asked) >= 8 and distinct(asked) == 8  # all that there are


@PROPOSING
@pytest.mark.parametrize("fixed", ["label", "c"])
@pytest.mark.filterwarnings("ignore:PartialFixedSampler is experimental")
def test_values_fixed_by_another_sampler_are_taken_into_account(make: type[ProposingSampler], fixed: str) -> None:
    value = {"label": "c", "c": 3}[fixed]
    sampler = optuna.samplers.PartialFixedSampler({fixed: value}, make(seed=0))
    study = optuna.create_study(sampler=sampler)
    study.optimize(grid, n_trials=28)
    assert {t.params[fixed] for t in study.trials} == {value}
    assert distinct(study.trials) >= 24  # the first ten of a local search are random
    assert study.best_value == {"label": 0, "c": 2}[fixed]


@PROPOSING
def test_parameters_inactive_under_a_fixed_value_are_left_out(make: type[ProposingSampler]) -> None:
    def branches(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("branch", ["short", "long"]) == "short":
            return 0.1 * trial.suggest_int("n", 0, 3)
        return float(trial.suggest_int("m", 0, 9) + trial.suggest_int("k", 0, 9))

    study = optuna.create_study(sampler=make(seed=0), direction="maximize")
    study.optimize(branches, n_trials=20)
    for _ in range(4):
        study.enqueue_trial({"branch": "short"})
    study.optimize(branches, n_trials=4)
    assert all(t.params.keys() == {"branch", "n"} for t in study.trials[20:])
    seen = {t.params.get("n") for t in study.trials}
    assert seen >= {0, 1, 2, 3}


@pytest.mark.parametrize("name", ["surrogate", "local", "evolution"])
@pytest.mark.parametrize("attribute", [{"partial": True}, {"continues": [1]}, {"continues": 0}, {"rungs": 5}], ids=str)
def test_user_attributes_of_a_search_have_no_meaning_elsewhere(name: str, attribute: dict[str, Any]) -> None:
    def objective(trial: optuna.Trial, own: dict[str, Any]) -> float:
        x = trial.suggest_float("x", 0, 1)
        for key, value in own.items():
            trial.set_user_attr(key, value)
        if trial.number % 3 == 2:
            raise optuna.TrialPruned
        return x

    studies = [optuna.create_study(sampler=make_sampler(name, 0)) for _ in range(2)]
    for study, own in zip(studies, ({}, attribute), strict=True):
        study.optimize(functools.partial(objective, own=own), n_trials=20)
    assert [t.params for t in studies[0].trials] == [t.params for t in studies[1].trials]


def test_user_attributes_have_no_meaning_with_several_objectives() -> None:
    study = optuna.create_study(sampler=SurrogateSampler(seed=0), directions=["maximize", "minimize"])
    for _ in range(12):
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        trial.set_user_attr("rungs", 5)
        study.tell(trial, (x, x))
    assert study.best_trials


def test_failures_count_whatever_their_user_attributes() -> None:
    study = optuna.create_study(sampler=SurrogateSampler(seed=0))
    for _ in range(8):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr("outcome", "lost")
        study.tell(trial, state=TrialState.FAIL)
    sampler = study.sampler
    study.ask({"x": FloatDistribution(0, 1)})
    assert isinstance(sampler, SurrogateSampler) and sampler._archive is not None
    assert len(sampler._archive.trials) == 8


def constrained(trial: optuna.Trial) -> float:
    total = sum(trial.suggest_int(f"x{i}", 0, 9) for i in range(4))
    trial.set_constraint("sum", total - 12)
    return total


def test_trials_that_violate_a_constraint_are_no_parents() -> None:
    met = {}
    for name in ("evolution", "random"):
        study = optuna.create_study(sampler=make_sampler(name, 0), direction="maximize")
        study.optimize(constrained, n_trials=120)
        met[name] = sum(t.constraints["sum"] <= 0 for t in study.trials[60:])
    assert met["evolution"] > met["random"] + 5


def test_diverged_trials_are_no_parents() -> None:
    space = {"kind": CategoricalDistribution(["diverges", "fine"]), "rest": FloatDistribution(0, 1)}
    for seed in range(10):
        study = optuna.create_study(sampler=EvolutionSampler(seed=seed, start=1, redraw=1.0), direction="maximize")
        for i in range(30):
            kind, reported = ("fine", 0.5) if i % 2 else ("diverges", math.nan)
            params, reports = {"kind": kind, "rest": i / 30}, {1: reported}
            study.add_trial(
                create_trial(state=TrialState.PRUNED, params=params, distributions=space, intermediate_values=reports)
            )
        study.ask()
        sampler = study.sampler
        assert isinstance(sampler, EvolutionSampler)
        (genes,) = sampler._genes.values()
        assert genes.get("kind", "fine") == "fine"


@pytest.mark.parametrize("name", ["surrogate", "local", "evolution", "nni:tpe"])
def test_a_study_under_hyperband_resumes_exactly(name: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        x, kind = trial.suggest_float("x", 0, 1), trial.suggest_categorical("kind", "abc")
        for step in (1, 3, 9):
            trial.report(x + (kind == "b"), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x + (kind == "b")

    def study() -> optuna.Study:
        pruner = optuna.pruners.HyperbandPruner(1, 9, 3)
        return optuna.create_study(study_name="s", sampler=make_sampler(name, 1), pruner=pruner)

    whole, parts = study(), study()
    whole.optimize(objective, n_trials=30)
    parts.optimize(objective, n_trials=20)
    parts.sampler = make_sampler(name, 1)
    parts.optimize(objective, n_trials=10)
    assert [t.params for t in parts.trials] == [t.params for t in whole.trials]


def bowl(trial: optuna.Trial) -> float:
    return sum((trial.suggest_float(name, 0, 1) - 0.3) ** 2 for name in "xyz")


def test_nni_gets_the_values_that_were_tried() -> None:
    study = optuna.create_study(sampler=make_sampler("nni:tpe", 0))
    study.optimize(bowl, n_trials=5)
    for params in ({"x": 0.25, "y": 0.5, "z": 0.75}, {"y": 0.125}):
        study.enqueue_trial(params)
    study.optimize(bowl, n_trials=3)
    broken = study.ask()
    broken.set_constraint("any", 1.0)
    study.tell(broken, bowl(broken))
    study.ask()  # reports the finished trials
    sampler = study.sampler
    assert isinstance(sampler, NNISampler)
    ((_, session),) = sampler._sessions.values()
    for name in "xyz":
        reported = [(record.param, record.loss) for record in session._tuner._history[name,]]
        assert reported == [(t.params[name], t.value) for t in study.trials[:8]]


@pytest.mark.parametrize("name", ["nni:tpe", "nni:evolution"])
def test_processes_that_share_a_study_propose_different_candidates(name: str) -> None:
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(storage=storage, study_name="s")
    two = [optuna.load_study(storage=storage, study_name="s", sampler=make_sampler(name, 0)) for _ in range(2)]
    for _ in range(12):
        asked = [(study, study.ask()) for study in two]
        for study, trial in asked:
            study.tell(trial, bowl(trial))
    assert distinct(two[0].trials) >= 23  # the first two are proposed without results


@pytest.mark.parametrize("name", ["nni:tpe", "surrogate", "local"])
def test_one_sampler_serves_two_studies_of_the_same_name(name: str) -> None:
    sampler = make_sampler(name, 0)
    for direction, good in (("minimize", 0.3), ("maximize", 0.7)):
        study = optuna.create_study(study_name="s", sampler=sampler, direction=direction)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=40)
        late = statistics.fmean(t.params["x"] for t in study.trials[-10:])
        assert late < good if direction == "minimize" else late > good


@pytest.mark.filterwarnings("ignore:Choices for a categorical:UserWarning")
@pytest.mark.parametrize("name", ["nni:tpe", "nni:evolution", "surrogate", "local", "evolution"])
def test_choices_may_be_classes(name: str) -> None:
    study = optuna.create_study(sampler=make_sampler(name, 0), direction="maximize")
    study.optimize(lambda trial: float(trial.suggest_categorical("k", [int, str, None]) is str), n_trials=40)
    assert {t.params["k"] for t in study.trials} <= {int, str, None}
    assert study.best_params == {"k": str}


@pytest.mark.parametrize("name", ["nni:tpe", "surrogate", "evolution"])
def test_a_used_sampler_can_be_pickled(name: str) -> None:
    study = optuna.create_study(sampler=make_sampler(name, 0))
    study.optimize(bowl, n_trials=8)
    copy = pickle.loads(pickle.dumps(study.sampler))
    trial = study._storage.get_trial(study.ask()._trial_id)
    copy.before_trial(study, trial)
    assert 0 <= copy.sample_independent(study, trial, "x", FloatDistribution(0, 1)) <= 1


@pytest.mark.parametrize(
    "value", [lambda n, x: math.inf if n % 2 else -math.inf, lambda n, x: 1e200 * x, lambda n, x: 1e-200 * x]
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_scores_may_be_extreme(value: Callable[[int, float], float]) -> None:
    study = optuna.create_study(sampler=SurrogateSampler(seed=0))
    study.optimize(lambda trial: value(trial.number, trial.suggest_float("x", 0, 1)), n_trials=20)
    if math.isfinite(study.best_value):
        assert study.best_params["x"] < 0.05


def test_extreme_scores_fall_back_to_ranks() -> None:
    ended = np.full(6, np.inf)
    for scores in ([-1e200, 1e200, 3e200, 2e200, 0, 5], [1e-200, 2e-200, 3e-200, 0, 5e-200, 4e-200]):
        fitnesses = np.stack([ended, np.array(scores, dtype=float)], axis=1)
        assert robust_scores(fitnesses) == pytest.approx(gaussian_ranks(fitnesses))


@pytest.mark.parametrize(
    ("one", "other", "values"),
    [
        (IntDistribution(0, 10, step=2), IntDistribution(1, 11, step=2), range(12)),
        (IntDistribution(0, 12, step=4), IntDistribution(2, 8, step=6), range(0, 13, 2)),
        (IntDistribution(0, 4, step=2), IntDistribution(0, 8, step=2), range(0, 9, 2)),
    ],
)
@pytest.mark.filterwarnings("error")
def test_widened_ranges_contain_the_values_of_both(one: IntDistribution, other: IntDistribution, values: range) -> None:
    for first, second in ((one, other), (other, one)):
        column = Column(first).widen(second)
        codes = column.encode(np.array(values, dtype=float))
        assert [column.decode(code) for code in codes] == list(values)


@pytest.mark.filterwarnings("error")
def test_a_shifting_grid_causes_no_warnings() -> None:
    def shifting(trial: optuna.Trial) -> float:
        low = trial.number % 2
        return trial.suggest_int("n", low, 10 + low, step=2) + trial.suggest_float("x", 0.5 * low, 3.0, step=0.5)

    for make in (SurrogateSampler, LocalSearchSampler):
        study = optuna.create_study(sampler=make(seed=0), direction="maximize")
        study.optimize(shifting, n_trials=30)
        assert study.best_value == 14.0
