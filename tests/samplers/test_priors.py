"""Beliefs about parameters: a right one saves evaluations, a wrong one is forgotten, and the density is as written."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from scipy.stats import norm

from nas.samplers import SurrogateSampler, make_sampler
from nas.samplers.genome import INACTIVE, Column
from nas.samplers.priors import SHARE, WIDTH, Priors
from nas.space import Choice, Float, Int, Recipe, Repeat, priors
from nas.training import Adam


def far_corner(trial: optuna.Trial) -> float:
    """Best where every gene is `c`, of which two are already rare to be drawn together."""
    genes = [trial.suggest_categorical(f"gene{i}", list("abcdefgh")) for i in range(6)]
    return -sum(abs("abcdefgh".index(g) - 2) for g in genes) - 5.0 * abs(trial.suggest_float("x", 0.0, 1.0) - 0.7)


def mean_best(beliefs: dict[str, object], trials: int, seeds: int = 4) -> float:
    found = []
    for seed in range(seeds):
        study = optuna.create_study(sampler=SurrogateSampler(seed=seed, priors=beliefs), direction="maximize")
        study.optimize(far_corner, n_trials=trials)
        found.append(study.best_value)
    return float(np.mean(found))


def test_a_right_belief_saves_evaluations_and_a_wrong_one_is_forgotten() -> None:
    right = {f"gene{i}": "c" for i in range(6)} | {"x": 0.7}
    wrong = {f"gene{i}": "h" for i in range(6)} | {"x": 0.0}
    assert mean_best(right, 10) > mean_best({}, 10) + 2.0
    assert mean_best(wrong, 60) > mean_best({}, 15)


def test_the_density_is_half_even_and_half_at_the_value() -> None:
    columns = [Column(CategoricalDistribution(["a", "b", "c", "d"])), Column(FloatDistribution(1e-4, 1.0, log=True))]
    believed = Priors({"label": "b", "rate": 1e-2, "unknown": 3, "label ": "z"})
    codes = np.array([[1, 0.5], [0, 0.5], [INACTIVE, 0.75], [1, INACTIVE]])
    at = [np.log(1 - SHARE + SHARE * norm.pdf(x, 0.5, WIDTH)) for x in (0.5, 0.5, 0.75)] + [0.0]
    labels = np.log([1 - SHARE + SHARE * 4, 1 - SHARE, 1.0, 1 - SHARE + SHARE * 4])
    assert believed.log_density(codes, ["label", "rate"], columns) == pytest.approx(labels + at)


def test_first_draws_lean_on_the_belief_by_half() -> None:
    sampler = SurrogateSampler(seed=0, priors={"gene": 7})
    firsts = []
    for _ in range(200):
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.enqueue_trial({"other": 1.0})
        for _ in range(2):
            study.ask({"other": FloatDistribution(0, 1), "gene": CategoricalDistribution(range(20))})
        firsts.append(study.trials[0].params["gene"])
        sampler = SurrogateSampler(seed=len(firsts), priors={"gene": 7})
    assert 75 <= firsts.count(7) <= 130


def test_a_belief_that_the_domain_does_not_hold_is_ignored() -> None:
    study = optuna.create_study(sampler=SurrogateSampler(seed=0, priors={"x": 9.0, "k": "z"}), direction="maximize")
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + (t.suggest_categorical("k", "ab") == "a"), n_trials=12)
    assert study.best_value > 1.5


def test_a_space_says_what_is_believed_by_path() -> None:
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
