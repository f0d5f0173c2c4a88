"""The samplers satisfy the contract; evolution follows its paper."""

from __future__ import annotations

import importlib.util
import time

import numpy as np
import optuna
import pytest

from nas.errors import UserError
from nas.samplers import (
    SAMPLERS,
    EvolutionSampler,
    LocalSearchSampler,
    SurrogateSampler,
    make_sampler,
)
from nas.samplers.proposing import ProposingSampler
from nas.samplers.scores import Gains, extrapolate_pruned, fitness
from tests.contracts.sampler_contract import FAIL, SamplerContract, conditional


class TestRandom(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("random", seed))
    resumes_exactly = True
    learns = False


class TestTPE(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("tpe", seed))
    resumes_exactly = True


class TestEvolution(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("evolution", seed))
    resumes_exactly = True


class TestSurrogate(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("surrogate", seed))
    resumes_exactly = True


class TestLocal(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("local", seed))
    resumes_exactly = True


class TestNSGA2(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("nsga2", seed))
    resumes_exactly = True
    learns = False  # its first generation has fifty trials


class TestNNITPE(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("nni:tpe", seed))
    resumes_exactly = True
    many = 1_000  # importing each of them into the tuner is slow


class TestNNIEvolution(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("nni:evolution", seed))
    resumes_exactly = True


@pytest.mark.skipif(importlib.util.find_spec("cmaes") is None, reason="needs the package cmaes")
class TestCMAES(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("cmaes", seed))
    resumes_exactly = True
    learns = False  # models only numbers that all trials have


@pytest.mark.slow  # a proposal takes up to a second
class TestGP(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("gp", seed))
    resumes_exactly = True
    many = 100  # its time grows with the cube of the number of trials

    def test_supports_a_space_wider_than_float_precision(self) -> None:
        with pytest.raises(ValueError):  # it enumerates the integers of a range
            super().test_supports_a_space_wider_than_float_precision()


@pytest.mark.parametrize("name", ["nni:tpe", "nni:evolution", "nni:random"])
def test_nni_tuner_resumes_exactly(name: str) -> None:
    """Also after the first population of evolution, with failures and overlapping trials."""

    def search(study: optuna.Study, count: int) -> None:
        for _ in range(count // 3):
            trials = [study.ask() for _ in range(3)]
            for trial in reversed(trials):
                value = conditional(trial)
                if trial.number % 7:
                    study.tell(trial, value)
                else:
                    study.tell(trial, state=FAIL)

    whole = optuna.create_study(sampler=make_sampler(name, 3), direction="maximize")
    search(whole, 90)
    parts = optuna.create_study(sampler=make_sampler(name, 3), direction="maximize")
    for count in (12, 39, 39):
        parts.sampler = make_sampler(name, 3)
        search(parts, count)
    assert [t.params for t in parts.trials] == [t.params for t in whole.trials]


@pytest.mark.parametrize("name", ["nni:tpe", "nni:evolution"])
def test_threads_can_share_an_nni_tuner(name: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        time.sleep(0.002)
        return conditional(trial)

    study = optuna.create_study(sampler=make_sampler(name, 0), direction="maximize")
    study.optimize(objective, n_trials=60, n_jobs=4)
    assert len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) == 60


def test_unknown_sampler_is_an_error() -> None:
    with pytest.raises(UserError, match="--sampler magic: unknown sampler; choose from"):
        make_sampler("magic", 0)
    assert all(make_sampler(name, 0) for name in SAMPLERS if name != "cmaes")


def test_unsupported_tuner_is_an_error_with_the_reason() -> None:
    with pytest.raises(UserError, match="--sampler nni:gp: it passes SciPy a two-dimensional starting point"):
        make_sampler("nni:gp", 0)
    with pytest.raises(UserError, match="--sampler nni:anneal: NNI's wrapper of hyperopt fails"):
        make_sampler("nni:anneal", 0)
    with pytest.raises(UserError, match="--sampler nni:magic: unknown tuner; choose from tpe, evolution"):
        make_sampler("nni:magic", 0)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "cmaes"])
def test_large_seeds_are_valid(name: str) -> None:
    for seed in (0, 2**31, 2**32 - 1):
        study = optuna.create_study(sampler=make_sampler(name, seed))
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        assert all(0 <= trial.params["x"] <= 1 for trial in study.trials) and len(study.trials) == 2


@pytest.mark.parametrize("make", [SurrogateSampler, LocalSearchSampler, EvolutionSampler], ids=lambda m: m.__name__)
def test_negative_seed_is_an_error(make: type[optuna.samplers.BaseSampler]) -> None:
    with pytest.raises(ValueError, match="seed -1: give 0 or more"):
        make(seed=-1)  # type: ignore[call-arg]


PROPOSING = pytest.mark.parametrize("make", [SurrogateSampler, LocalSearchSampler], ids=lambda m: m.__name__)


@PROPOSING
def test_parallel_trials_differ(make: type[optuna.samplers.BaseSampler]) -> None:
    """Parameters of parallel trials are suggested in turn, as by threads."""
    study = optuna.create_study(sampler=make(seed=0), direction="maximize")  # type: ignore[call-arg]
    names, found = [f"x{i}" for i in range(4)], []
    for _ in range(8):
        asked = [study.ask() for _ in range(8)]
        for name in names:
            for trial in asked:
                trial.suggest_categorical(name, ["a", "b", "c"])
        for trial in asked:
            found.append(tuple(trial.params.values()))
            study.tell(trial, sum(value == "a" for value in trial.params.values()))
    if make is SurrogateSampler:
        assert len(set(found[8:])) == 56  # of 81; the first eight are random
    assert len(set(found)) > 48


@PROPOSING
def test_one_sampler_serves_two_studies(make: type[optuna.samplers.BaseSampler]) -> None:
    def asked(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0, 1) + trial.suggest_categorical("y", [0, 1])

    sampler = make(seed=0)  # type: ignore[call-arg]
    up = optuna.create_study(sampler=sampler, direction="maximize", study_name="up")
    down = optuna.create_study(sampler=sampler, direction="minimize", study_name="down")
    for _ in range(25):
        pairs = [(study, study.ask()) for study in (up, down)]
        for study, trial in pairs:
            study.tell(trial, asked(trial))
    assert up.best_value > 1.8 and down.best_value < 0.2


@PROPOSING
def test_a_deleted_study_is_not_confused_with_a_new_one_of_its_name(make: type[optuna.samplers.BaseSampler]) -> None:
    storage, sampler = optuna.storages.InMemoryStorage(), make(seed=0)  # type: ignore[call-arg]
    for name, goal in (("x", 0.2), ("z", 0.8)):
        study = optuna.create_study(storage=storage, sampler=sampler, study_name="s")
        study.optimize(lambda trial, n=name, g=goal: abs(trial.suggest_float(n, 0, 1) - g), n_trials=40)
        assert study.best_value < 0.02
        optuna.delete_study(study_name="s", storage=storage)


@PROPOSING
@pytest.mark.filterwarnings("ignore:Choices for a categorical:UserWarning")
def test_choices_may_be_lists(make: type[optuna.samplers.BaseSampler]) -> None:
    def length(trial: optuna.Trial) -> float:
        return sum(len(trial.suggest_categorical(f"k{i}", [[1, 2], [3], []])) for i in range(3))

    study = optuna.create_study(sampler=make(seed=0), direction="maximize")  # type: ignore[call-arg]
    study.optimize(length, n_trials=25)
    assert study.best_value == 6


@PROPOSING
def test_trials_that_violate_a_constraint_count_as_failed(make: type[optuna.samplers.BaseSampler]) -> None:
    study = optuna.create_study(sampler=make(seed=0), direction="maximize")  # type: ignore[call-arg]
    for _ in range(60):
        trial = study.ask()
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        trial.set_constraint("sum", x + y - 1)
        study.tell(trial, x + y)
    assert max(t.value or 0 for t in study.trials if t.constraints["sum"] <= 0) > 0.95
    sampler = study.sampler
    assert isinstance(sampler, ProposingSampler) and sampler._archive is not None
    failed = np.isnan(sampler._archive.fitnesses()[:, 0])
    assert failed.tolist() == [t.constraints["sum"] > 0 for t in study.trials[: len(failed)]]


def onemax(trial: optuna.Trial) -> float:
    return sum(trial.suggest_categorical(f"gene{i}", [0, 1, 2]) == 2 for i in range(20))


def test_a_child_is_a_mutation_of_the_best_member() -> None:
    sampler = EvolutionSampler(population=10, tournament=10, redraw=1.0, start=10, seed=0)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    study.optimize(onemax, n_trials=10)
    best = [t.params for t in study.trials if t.value == study.best_value]
    trial = study.ask()
    onemax(trial)
    assert min(sum(trial.params[name] != value for name, value in b.items()) for b in best) <= 1


def test_old_trials_leave_the_population() -> None:
    sampler = EvolutionSampler(population=5, tournament=5, redraw=1.0, start=5, seed=0)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    star = optuna.trial.create_trial(
        params={f"gene{i}": 2 for i in range(20)},
        distributions={f"gene{i}": optuna.distributions.CategoricalDistribution([0, 1, 2]) for i in range(20)},
        value=20.0,
    )
    study.add_trial(star)
    for _ in range(5):
        params = {f"gene{i}": 0 for i in range(20)}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=star.distributions, value=0.0))
    trial = study.ask()
    assert onemax(trial) <= 1  # a mutant of the zeros: the star has left the population


def test_evolution_is_better_than_random_search() -> None:
    scores = {}
    for name in ("random", "evolution"):
        best = []
        for seed in range(5):
            study = optuna.create_study(sampler=make_sampler(name, seed), direction="maximize")
            study.optimize(onemax, n_trials=150)
            best.append(study.best_value)
        scores[name] = sum(best) / len(best)
    assert scores["evolution"] > scores["random"] + 2


def test_complete_trials_outrank_pruned_ones() -> None:
    sampler = EvolutionSampler(population=2, tournament=2, redraw=1.0, seed=0)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    spread = {"kind": optuna.distributions.CategoricalDistribution(["line", "bowl", None])}
    study.add_trial(optuna.trial.create_trial(params={"kind": "line"}, distributions=spread, value=0.1))
    pruned = optuna.trial.create_trial(
        params={"kind": "bowl"},
        distributions=spread,
        state=optuna.trial.TrialState.PRUNED,
        intermediate_values={1: 0.9},
    )
    study.add_trial(pruned)
    fitnesses = extrapolate_pruned(np.array([fitness(t, study) for t in study.trials], dtype=float), Gains())
    assert tuple(fitnesses[0]) > tuple(fitnesses[1])
