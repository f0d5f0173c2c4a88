"""Priors of the user: a right one saves evaluations, a wrong one is overcome, and the density matches its formula."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from scipy.stats import norm

from nas.samplers import SurrogateSampler, make_sampler
from nas.samplers.column import INACTIVE, Column
from nas.samplers.priors import PEAK_MASS, PEAK_WIDTH, Priors
from nas.space import Choice, Float, Int, Recipe, Repeat, priors
from nas.training import Adam


def far_corner(trial: optuna.Trial) -> float:
    """Score that is best if every gene is `c`, which is rare among random candidates."""
    genes = [trial.suggest_categorical(f"gene{i}", list("abcdefgh")) for i in range(6)]
    return -sum(abs("abcdefgh".index(g) - 2) for g in genes) - 5.0 * abs(trial.suggest_float("x", 0.0, 1.0) - 0.7)


def mean_best(values: dict[str, object], trials: int, seeds: int = 4) -> float:
    found = []
    for seed in range(seeds):
        study = optuna.create_study(sampler=SurrogateSampler(seed=seed, priors=values), direction="maximize")
        study.optimize(far_corner, n_trials=trials)
        found.append(study.best_value)
    return float(np.mean(found))


def test_right_priors_save_evaluations_and_wrong_ones_are_overcome() -> None:
    right = {f"gene{i}": "c" for i in range(6)} | {"x": 0.7}
    wrong = {f"gene{i}": "h" for i in range(6)} | {"x": 0.0}
    assert mean_best(right, 10) > mean_best({}, 10) + 2.0
    assert mean_best(wrong, 60) > mean_best({}, 15)


def test_density_is_half_uniform_and_half_at_the_expected_value() -> None:
    columns = [Column(CategoricalDistribution(["a", "b", "c", "d"])), Column(FloatDistribution(1e-4, 1.0, log=True))]
    prior = Priors({"label": "b", "rate": 1e-2, "unknown": 3, "label ": "z"})
    codes = np.array([[1, 0.5], [0, 0.5], [INACTIVE, 0.75], [1, INACTIVE]])
    numbers = [np.log(1 - PEAK_MASS + PEAK_MASS * norm.pdf(x, 0.5, PEAK_WIDTH)) for x in (0.5, 0.5, 0.75)] + [0.0]
    labels = np.log([1 - PEAK_MASS + PEAK_MASS * 4, 1 - PEAK_MASS, 1.0, 1 - PEAK_MASS + PEAK_MASS * 4])
    assert prior.log_density(codes, ["label", "rate"], columns) == pytest.approx(labels + numbers)


def test_half_of_the_first_candidates_have_the_expected_value() -> None:
    sampler = SurrogateSampler(seed=0, priors={"gene": 7})
    found = []
    for _ in range(200):
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.enqueue_trial({"other": 1.0})
        for _ in range(2):
            study.ask({"other": FloatDistribution(0, 1), "gene": CategoricalDistribution(range(20))})
        found.append(study.trials[0].params["gene"])
        sampler = SurrogateSampler(seed=len(found), priors={"gene": 7})
    assert 75 <= found.count(7) <= 130


def test_a_prior_outside_the_domain_is_ignored() -> None:
    study = optuna.create_study(sampler=SurrogateSampler(seed=0, priors={"x": 9.0, "k": "z"}), direction="maximize")
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + (t.suggest_categorical("k", "ab") == "a"), n_trials=12)
    assert study.best_value > 1.5


def test_priors_of_a_space_are_listed_by_path() -> None:
    space = Recipe(
        encoder=Repeat(Choice(4, 8, prior=8), times=Int(1, 2)),
        decoder=Choice((1, 2), (3,), prior=(3,)),
        norm=Choice("batch", "switch", prior="switch"),
        optimizer=Choice(Adam(lr=Float(1e-4, 1e-1, log=True, prior=3e-3)), prior=Adam(lr=1.0)),
    )
    assert priors(space) == {
        "encoder.0": 8,
        "encoder.1": 8,
        "decoder": "(3,)",
        "norm": "switch",
        "optimizer": "Adam",
        "optimizer.Adam.lr": 3e-3,
    }
    assert isinstance(make_sampler("surrogate", 0, priors=priors(space)), SurrogateSampler)
