"""The shipped samplers hold the contract; evolution does what its paper says."""

from __future__ import annotations

import importlib.util

import numpy as np
import optuna
import pytest

from nas.errors import UserError
from nas.search.samplers import SAMPLERS, EvolutionSampler, make_sampler
from nas.search.samplers.scores import Gains, fitness, foretold
from tests.contracts.sampler_contract import SamplerContract


class TestRandom(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("random", seed))


class TestTPE(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("tpe", seed))


class TestEvolution(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("evolution", seed))
    goes_on_exactly = True


class TestSurrogate(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("surrogate", seed))
    goes_on_exactly = True


class TestLocal(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("local", seed))
    goes_on_exactly = True


class TestNSGA2(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("nsga2", seed))


class TestNNITPE(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("nni:tpe", seed))
    many = 1_000  # the tuner is shown each of them, which takes it long


class TestNNIEvolution(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("nni:evolution", seed))


@pytest.mark.skipif(importlib.util.find_spec("cmaes") is None, reason="needs the package cmaes")
class TestCMAES(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("cmaes", seed))


@pytest.mark.slow  # an ask takes it up to a second
class TestGP(SamplerContract):
    make = staticmethod(lambda seed: make_sampler("gp", seed))
    many = 100  # Optuna's takes every trial into account: its time grows with the cube of their number

    def test_a_space_wider_than_float_precision(self) -> None:
        with pytest.raises(ValueError):  # it lists every whole number of a range
            super().test_a_space_wider_than_float_precision()


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(UserError, match="--sampler magic: there is no such sampler; choose from"):
        make_sampler("magic", 0)
    assert all(make_sampler(name, 0) for name in SAMPLERS if name != "cmaes")


def test_tuners_that_do_not_run_are_refused_with_the_reason() -> None:
    with pytest.raises(UserError, match="--sampler nni:gp: it hands SciPy a starting point of two dimensions"):
        make_sampler("nni:gp", 0)
    with pytest.raises(UserError, match="--sampler nni:magic: there is no such tuner; choose from tpe, evolution"):
        make_sampler("nni:magic", 0)


def onemax(trial: optuna.Trial) -> float:
    return sum(trial.suggest_categorical(f"gene{i}", [0, 1, 2]) == 2 for i in range(20))


def test_a_child_is_a_mutation_of_a_good_member_of_the_population() -> None:
    sampler = EvolutionSampler(population=10, tournament=10, redraw=1.0, start=10, seed=0)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    study.optimize(onemax, n_trials=10)
    best = [t.params for t in study.trials if t.value == study.best_value]
    trial = study.ask()
    onemax(trial)
    assert min(sum(trial.params[name] != value for name, value in b.items()) for b in best) <= 1


def test_the_old_leave_the_population() -> None:
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
    assert onemax(trial) <= 1  # a mutant of the zeros: the star has aged away


def test_evolution_finds_more_than_random_search() -> None:
    scores = {}
    for name in ("random", "evolution"):
        best = []
        for seed in range(5):
            study = optuna.create_study(sampler=make_sampler(name, seed), direction="maximize")
            study.optimize(onemax, n_trials=150)
            best.append(study.best_value)
        scores[name] = sum(best) / len(best)
    assert scores["evolution"] > scores["random"] + 2


def test_further_trained_outranks_early_stopped() -> None:
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
    reached = foretold(np.array([fitness(t, study) for t in study.trials], dtype=float), Gains())
    assert tuple(reached[0]) > tuple(reached[1])
