"""The surrogate's parts against formulas and other libraries, and the whole on problems with known solutions."""

from __future__ import annotations

import pickle

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from nas.samplers import LocalSearchSampler, SurrogateSampler
from nas.samplers.column import INACTIVE, Column
from nas.samplers.conditions import LearnedConditions
from nas.samplers.embedding import Embedding
from nas.samplers.gaussian_process import (
    NOISE_FLOOR,
    GaussianProcess,
    Hyperparameters,
    _negative_log_posterior,
    fit_hyperparameters,
    matern,
)
from nas.samplers.scores import Gains, extrapolate_pruned, gaussian_ranks, intermediate_scores, robust_scores
from nas.samplers.surrogate import _log_expected_improvement

optuna.logging.set_verbosity(optuna.logging.ERROR)


def numbers(count: int) -> Embedding:
    return Embedding([Column(FloatDistribution(0.0, 1.0)) for _ in range(count)], np.zeros(count, dtype=bool))


def choices(count: int) -> Embedding:
    columns = [Column(CategoricalDistribution([f"{letter}{p}" for letter in "abcd"])) for p in range(count)]
    return Embedding(columns, np.zeros(count, dtype=bool))


def test_gaussian_process_matches_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    seen, asked = rng.random((30, 3)), rng.random((8, 3))
    scores = np.sin(5 * seen[:, 0]) + seen[:, 1]
    weights, joint, noise = np.array([8.0, 2.0, 0.5]), 1.7, 0.03
    kernel = ConstantKernel(joint) * Matern(1 / np.sqrt(weights), nu=2.5) + WhiteKernel(noise + NOISE_FLOOR)
    other = GaussianProcessRegressor(kernel, optimizer=None, alpha=0.0).fit(seen, scores)
    mean, deviation = other.predict(asked, return_std=True)
    ours = GaussianProcess(numbers(3), Hyperparameters(weights, joint, 0.0, noise), seen, scores, seen[:0])
    assert ours.predict(asked)[0] == pytest.approx(mean, abs=1e-8)
    assert ours.predict(asked)[1] ** 2 + noise + NOISE_FLOOR == pytest.approx(deviation**2, abs=1e-8)


def test_random_candidates_are_as_similar_in_a_wide_space_as_in_a_narrow_one() -> None:
    rng = np.random.default_rng(7)
    correlations = []
    for count in (6, 60):
        weights = fit_hyperparameters((np.zeros((count, 0)), np.zeros((count, 0))), np.zeros(1)).weights
        one, other = rng.random((2, 200, count))
        squared = (weights * (one - other) ** 2).sum(1)
        correlations.append(matern(squared).mean())
    assert correlations[1] == pytest.approx(correlations[0], rel=0.1)


def test_additive_component_is_ridge_regression_on_one_hot_choices() -> None:
    rng = np.random.default_rng(4)
    embedding = choices(3)
    seen, asked = rng.integers(4, size=(30, 3)).astype(float), rng.integers(4, size=(9, 3)).astype(float)
    scores, shares, noise = rng.standard_normal(30), np.array([0.5, 0.3, 0.2]), 0.1
    design, wanted = (
        np.concatenate([(codes[:, [p]] == np.arange(4)) * np.sqrt(2.0 * shares[p]) for p in range(3)], axis=1)
        for codes in (seen, asked)
    )
    ridge = np.linalg.solve(design.T @ design + (noise + NOISE_FLOOR) * np.eye(12), design.T @ scores)
    ours = GaussianProcess(embedding, Hyperparameters(shares * 7.0, 0.0, 2.0, noise), seen, scores, seen[:0])
    assert ours.predict(asked)[0] == pytest.approx(wanted @ ridge, abs=1e-8)


def test_pending_candidates_reduce_the_variance_and_keep_the_mean() -> None:
    rng = np.random.default_rng(1)
    seen, asked = rng.random((20, 2)), rng.random((5, 2))
    hyper = Hyperparameters(np.array([40.0, 40.0]), 1.0, 0.2, 0.01)
    without = GaussianProcess(numbers(2), hyper, seen, seen[:, 0], seen[:0]).predict(asked)
    pending = GaussianProcess(numbers(2), hyper, seen, seen[:, 0], asked[:1]).predict(asked)
    assert pending[0] == pytest.approx(without[0])
    assert pending[1][0] ** 2 < 0.011  # about the noise of its evaluation
    assert (pending[1] <= without[1] + 1e-9).all()


def test_gradient_matches_finite_differences() -> None:
    rng = np.random.default_rng(2)
    columns = [Column(FloatDistribution(0.0, 1.0)), Column(CategoricalDistribution([1, 2, 3, 4]))]
    embedding = Embedding(columns, np.zeros(2, dtype=bool))
    seen, scores = np.stack([rng.random(25), rng.integers(4, size=25)], axis=1), rng.standard_normal(25)
    theta, mean, spread = rng.normal(size=6) - 0.5, np.zeros(6), np.ones(6)
    arguments = (*embedding.pairwise(seen), scores, mean, spread)
    slope = approx_fprime(theta, lambda t: _negative_log_posterior(t, *arguments)[0], 1e-6)
    assert _negative_log_posterior(theta, *arguments)[1] == pytest.approx(slope, rel=1e-3, abs=1e-3)


def test_parameters_without_effect_get_small_weights() -> None:
    rng = np.random.default_rng(3)
    embedding = choices(4)
    codes = rng.integers(4, size=(80, 4)).astype(float)
    scores = gaussian_ranks(np.stack([np.zeros(80), np.array([0.0, 3.0, 1.0, 2.0])[codes[:, 1].astype(int)]], 1))
    weights = fit_hyperparameters(embedding.pairwise(codes), scores).weights
    assert weights[1] > 5 * max(weights[0], weights[2], weights[3])


def test_distances_and_similarities_by_kind_of_feature() -> None:
    columns = [
        Column(CategoricalDistribution(["x", "y", "z"])),
        Column(IntDistribution(0, 4)),
        Column(CategoricalDistribution([64, 8, 16])),
    ]
    embedding = Embedding(columns, np.array([False, True, False]))
    rows = np.array([[0, 0.25, 1], [2, INACTIVE, 1], [0, 1.0, 0]])
    (choice, active, number, position, rank), similarity = embedding.pairwise(rows)
    assert choice == pytest.approx([1, 0, 1])
    assert active == pytest.approx([1, 0, 1])
    assert position == pytest.approx([0.25**2, 0.75**2, 0.5**2])  # inactive is 0.5
    assert number == pytest.approx([0, 1, 1])
    assert rank == pytest.approx([0, 1, 1])  # 8 is the smallest, 64 the largest
    assert similarity[[0, 1, 2]] == pytest.approx(1.0 - np.array([choice, active, number]))
    assert similarity[4][0] == pytest.approx(1.0)
    assert similarity[4][1] < 0.01


def test_parameters_with_equal_choices_share_features() -> None:
    columns = [Column(CategoricalDistribution("abc")) for _ in range(4)] + [Column(CategoricalDistribution("xyz"))]
    embedding = Embedding(columns, np.array([False, False, False, True, False]))
    assert [feature.kind for feature in embedding.features] == ["choice"] * 5 + ["share"] * 3
    rows = np.array([[0, 1, 2, 0, 0], [2, 0, 1, 0, 0], [1, 1, 1, INACTIVE, 1]])
    a, b, c = embedding.pairwise(rows)[0][5:]
    assert a == pytest.approx([0, 0.5**2, 0.5**2])  # two, two and none of the four
    assert b == pytest.approx([0, 0.5**2, 0.5**2])  # one, one and three
    assert c == pytest.approx([0, 0.25**2, 0.25**2])


def test_gaussian_ranks_are_normal_quantiles() -> None:
    fitnesses = np.array([[np.inf, 3.0], [np.inf, -1e9], [2.0, 1e6], [np.inf, 3.0]])
    expected = norm.ppf([(3.5 - 0.5) / 4, (2 - 0.5) / 4, (1 - 0.5) / 4, (3.5 - 0.5) / 4])
    assert gaussian_ranks(fitnesses) == pytest.approx(expected)


def test_robust_scores_keep_distances_near_the_best_and_clip_the_worst() -> None:
    ended = np.full(7, np.inf)
    scores = np.array([-1e9, -30.0, 0.0, 1.0, 2.0, 3.0, 4.0])
    found = robust_scores(np.stack([ended, scores], axis=1))
    assert (found.mean(), found.std()) == pytest.approx((0.0, 1.0))
    assert found[0] == found[1] < found[2]
    steps = np.diff(found[2:])
    assert steps == pytest.approx(np.full(4, steps[0]))
    for mixed in (np.where(np.arange(7) == 3, 0.0, np.inf), ended):
        flat = np.stack([mixed, scores if mixed is not ended else np.ones(7)], axis=1)
        assert robust_scores(flat) == pytest.approx(gaussian_ranks(flat))


def test_a_continuous_minimum_is_approached_closely() -> None:
    """Branin function (Dixon and Szego 1978), minimum 0.397887; Optuna's TPE is .04 away after as many trials."""

    def branin(trial: optuna.Trial) -> float:
        x, y = trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15)
        square = y - 5.1 / (4 * np.pi**2) * x * x + 5 / np.pi * x - 6
        return float(square**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10)

    for seed in range(3):
        study = optuna.create_study(sampler=SurrogateSampler(seed=seed))
        study.optimize(branin, n_trials=50)
        assert study.best_value - 0.397887 < 0.005


@pytest.mark.parametrize("z", [-12.0, -6.5, -3.0, 0.0, 2.0])
def test_expected_improvement_matches_quadrature(z: float) -> None:
    integral, _ = quad(lambda x: x * norm.pdf(x - z), 0.0, max(z, 0.0) + 12.0, points=[0.1, 1.0], epsabs=0.0)
    assert _log_expected_improvement(np.array([z]))[0] == pytest.approx(np.log(integral), abs=0.1 if z < -6 else 1e-6)


@pytest.mark.parametrize(
    "distribution",
    [
        IntDistribution(3, 17),
        IntDistribution(0, 100, step=7),
        IntDistribution(1, 1000, log=True),
        FloatDistribution(-1.0, 1.0, step=0.125),
        FloatDistribution(1e-5, 1e-1, log=True),
        CategoricalDistribution([None, "a", 3]),
    ],
)
def test_decode_inverts_encode(distribution: optuna.distributions.BaseDistribution) -> None:
    column, rng = Column(distribution), np.random.default_rng(0)
    codes = np.concatenate([column.sample(60, rng), column.mutate(column.sample(60, rng), rng)])
    values = [column.decode(code) for code in codes]
    raw = np.array([distribution.to_internal_repr(value) for value in values])
    assert all(distribution._contains(r) for r in raw)
    assert column.encode(raw) == pytest.approx(codes, abs=1e-12)
    assert len(set(values)) > 2


def test_conditions_are_learned() -> None:
    rng = np.random.default_rng(0)
    columns = [Column(CategoricalDistribution("abc")), Column(IntDistribution(0, 3)), Column(FloatDistribution(0, 1))]
    codes = np.stack([c.sample(60, rng) for c in columns], axis=1)
    codes[codes[:, 0] != 2, 2] = INACTIVE
    conditions = LearnedConditions(codes, columns, ["kind", "other", "depth"])
    completed = conditions.complete(np.array([[2.0, 0.0, INACTIVE], [1.0, 1.0, 0.5]]), rng)
    assert 0.0 <= completed[0, 2] <= 1.0
    assert completed[1, 2] == INACTIVE


def three_choices(trial: optuna.Trial) -> float:
    return float(sum(trial.suggest_categorical(f"gene{i}", [0, 1, 2]) * 3**i for i in range(3)))


def test_no_candidate_is_repeated_while_others_are_left() -> None:
    study = optuna.create_study(sampler=SurrogateSampler(seed=0), direction="maximize")
    study.optimize(three_choices, n_trials=30)
    assert len({tuple(t.params.items()) for t in study.trials[:27]}) >= 26


@pytest.mark.parametrize("sampler", [SurrogateSampler, LocalSearchSampler])
@pytest.mark.parametrize(("low", "high", "step"), [(0.1, 1.0, 0.1), (0.8, 0.99, 0.01), (0.0, 7.0, 0.1)])
def test_no_candidate_is_repeated_with_inexact_steps(sampler: type, low: float, high: float, step: float) -> None:
    def objective(trial: optuna.Trial) -> float:
        x, y = (trial.suggest_float(name, low, high, step=step) for name in "xy")
        return abs(x - low - 0.3 * (high - low)) + abs(y - low - 0.7 * (high - low))

    study = optuna.create_study(sampler=sampler(seed=0))
    study.optimize(objective, n_trials=40)
    assert len({tuple(trial.params.values()) for trial in study.trials}) >= 39  # the first few are random


@pytest.mark.parametrize("sampler", [SurrogateSampler, LocalSearchSampler])
def test_no_candidate_is_repeated_with_conditions_on_several_parameters(sampler: type) -> None:
    def objective(trial: optuna.Trial) -> float:
        a, b, c = trial.suggest_categorical("a", "xyz"), trial.suggest_int("b", 0, 1), trial.suggest_int("c", 0, 7)
        score = 0.1 * c + 0.2 * (a == "x") + 0.3 * (b == 0)
        if a == "x" and b == 0:
            score += 0.3 * (trial.suggest_categorical("both", "pqrstuvw") == "q")
        if a == "y" or b == 1:
            score += 0.05 * trial.suggest_int("either", 0, 3)
        return score

    study = optuna.create_study(sampler=sampler(seed=0), direction="maximize")
    study.optimize(objective, n_trials=60)
    assert len({tuple(sorted(trial.params.items())) for trial in study.trials}) >= 57


def test_parallel_candidates_differ() -> None:
    study = optuna.create_study(sampler=SurrogateSampler(seed=0), direction="maximize")
    study.optimize(three_choices, n_trials=12)
    asked = [study.ask() for _ in range(8)]
    for trial in asked:
        three_choices(trial)
    assert len({tuple(t.params.items()) for t in asked}) == 8


def test_failures_are_avoided() -> None:
    study = optuna.create_study(sampler=SurrogateSampler(seed=0), direction="maximize")
    failed = []
    for _ in range(60):
        trial = study.ask()
        genes = [trial.suggest_categorical(f"gene{i}", [0, 1, 2]) for i in range(8)]
        failed.append(genes[0] == 2 or genes[1] == genes[2])
        study.tell(trial, None if failed[-1] else float(sum(genes)), state=TrialState.FAIL if failed[-1] else None)
    assert study.best_value >= 10.0
    assert sum(failed[30:]) < 0.6 * 0.55 * 30  # 55 % of all candidates fail


def test_fewer_candidates_fail_than_by_chance_on_the_way_to_the_optimum() -> None:
    asked, failed = 0, 0
    for seed in range(4):
        study = optuna.create_study(sampler=SurrogateSampler(seed=seed), direction="maximize")
        score = 0
        while score < 14:  # the maximum: the first gene and one of the next two are 1
            trial = study.ask()
            genes = [trial.suggest_categorical(f"gene{i}", [0, 1, 2]) for i in range(8)]
            fails = genes[0] == 2 or genes[1] == genes[2]
            study.tell(trial, None if fails else float(sum(genes)), state=TrialState.FAIL if fails else None)
            asked, failed, score = asked + 1, failed + fails, 0 if fails else sum(genes)
    assert failed < 0.8 * 0.55 * asked  # 55 % of all candidates fail, the better ones more often
    assert asked < 4 * 40


def bowl(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("x", -3.0, 3.0), trial.suggest_float("y", 1e-6, 1.0, log=True)
    total = -((x - 1.0) ** 2) - (np.log10(y) + 4.0) ** 2
    if trial.suggest_categorical("more", [False, True]):
        total += 1.0 - 0.1 * abs(trial.suggest_int("z", 0, 20) - 13)
    return float(total)


def test_an_optimum_of_conditional_numbers_is_found() -> None:
    study = optuna.create_study(sampler=SurrogateSampler(seed=0), direction="maximize")
    study.optimize(bowl, n_trials=80)
    assert study.best_value > 0.8
    minimized = optuna.create_study(sampler=SurrogateSampler(seed=0), direction="minimize")
    minimized.optimize(lambda trial: -bowl(trial), n_trials=80)
    assert minimized.best_value < -0.8


def test_pruned_trials_rank_below_complete_ones() -> None:
    spread = {f"gene{i}": CategoricalDistribution([0, 1, 2]) for i in range(4)}
    study = optuna.create_study(sampler=SurrogateSampler(seed=0), direction="maximize")
    rng = np.random.default_rng(0)
    for _ in range(40):
        params = {name: int(rng.integers(3)) for name in spread}
        good = params["gene0"] == 2
        how = {"value": 1.0} if good else {"state": TrialState.PRUNED, "intermediate_values": {1: 0.9}}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=spread, **how))  # type: ignore[arg-type]
    assert sum(study.ask(spread).params["gene0"] == 2 for _ in range(8)) >= 7


def test_conditions_and_ranges_may_change() -> None:
    def changing(trial: optuna.Trial) -> float:
        value = trial.suggest_float("x", 0.0, 1.0 + (trial.number > 20))
        kind = trial.suggest_categorical("kind", "ab")
        return value + (trial.suggest_int("n", 0, 3) if trial.number < 17 or kind == "a" else 0)

    study = optuna.create_study(sampler=SurrogateSampler(seed=0), direction="maximize")
    study.optimize(changing, n_trials=45)
    assert study.best_value > 4.0


def test_bounds_that_depend_on_another_parameter_are_learned() -> None:
    def triangle(trial: optuna.Trial) -> float:
        n = trial.suggest_int("n", 2, 10)
        k = trial.suggest_int("k", 0, n - 1)
        return abs(k - 3) + n

    study = optuna.create_study(sampler=SurrogateSampler(seed=0))
    study.optimize(triangle, n_trials=30)
    # 54 combinations. Without the bounds, it would propose values that n = 2 does not allow.
    assert len({tuple(t.params.values()) for t in study.trials}) > 25
    assert study.best_value == 4.0


def test_the_parameter_that_determines_the_bounds_is_found() -> None:
    columns = [Column(IntDistribution(0, 3)), Column(CategoricalDistribution("ab")), Column(IntDistribution(0, 9))]
    codes = np.array([[0.0, 0, 0.2], [1 / 3, 1, 0.1], [2 / 3, 0, 0.5], [2 / 3, 1, 0.9]])
    bounds = np.array([[0.0, 0.3], [0.0, 0.3], [0.4, 1.0], [0.4, 1.0]])
    conditions = LearnedConditions(codes, columns, ["x", "kind", "y"], {2: bounds})
    candidates = np.array([[0.0, 1, 0.8], [2 / 3, 0, 0.0], [2 / 3, 1, 0.7], [1.0, 0, 0.0]])
    found = conditions.complete(candidates, np.random.default_rng(0))
    # No trial had x = 1, so its bounds are unknown.
    assert found[:, 2] == pytest.approx([0.3, 0.4, 0.7, 0.0])


def test_a_used_sampler_proposes_the_same_as_a_new_one() -> None:
    def run(sampler: SurrogateSampler) -> list[dict[str, object]]:
        study = optuna.create_study(study_name="same", sampler=sampler, direction="maximize")
        study.optimize(three_choices, n_trials=12)
        return [trial.params for trial in study.trials]

    used = SurrogateSampler(seed=3)
    assert run(used) == run(used) == run(SurrogateSampler(seed=3))


def test_interleaved_studies_are_independent() -> None:
    def objective(trial: optuna.Trial) -> float:
        return (trial.suggest_float("x", 0, 1) - 0.3) ** 2 * (1 + trial.suggest_int("n", 0, 5))

    def study(sampler: SurrogateSampler) -> optuna.Study:
        return optuna.create_study(sampler=sampler)

    shared = SurrogateSampler(seed=0)
    one, other, alone = study(shared), study(shared), study(SurrogateSampler(seed=0))
    for _ in range(12):
        one.optimize(lambda trial: -objective(trial), n_trials=1)
        other.optimize(objective, n_trials=1)
    alone.optimize(objective, n_trials=12)
    assert [t.params for t in other.trials] == [t.params for t in alone.trials]


def test_negative_seed_is_an_error() -> None:
    with pytest.raises(ValueError, match="seed -1: give 0 or more"):
        SurrogateSampler(seed=-1)


def test_reports_that_are_not_finite_are_ignored() -> None:
    study = optuna.create_study(direction="maximize")
    trial = study.ask()
    for step, value in ((1, float("inf")), (2, float("-inf")), (3, 0.5), (4, float("nan"))):
        trial.report(value, step)
    study.tell(trial, state=TrialState.PRUNED)
    assert intermediate_scores(study.trials[0], study) == {3: 0.5}


def test_threads_can_share_a_sampler_and_it_can_be_pickled() -> None:
    study = optuna.create_study(sampler=SurrogateSampler(seed=0), direction="maximize")
    study.optimize(three_choices, n_trials=20, n_jobs=4)
    assert len(study.trials) == 20
    again = optuna.load_study(study_name=study.study_name, storage=study._storage)
    again.sampler = pickle.loads(pickle.dumps(study.sampler))
    again.optimize(three_choices, n_trials=2)
    assert len({tuple(t.params.items()) for t in again.trials[-2:]}) == 2


def test_pruned_trials_are_compared_by_their_expected_final_scores() -> None:
    gains = Gains()
    for scores in ({1: 0.2, 3: 0.3, 9: 0.5}, {1: 0.1, 3: 0.4}, {3: 0.2, 9: 0.5}):
        gains.add(scores)
    # From 1 to 3: 0.1 and 0.3; from 3 to 9: 0.2 and 0.3.
    assert gains.to_end(1) == pytest.approx(0.2 + 0.25)
    assert gains.to_end(3) == pytest.approx(0.25)
    assert gains.to_end(9) == gains.to_end(2) == 0.0
    raw = np.array([[np.inf, 0.5], [1, 0.2], [3, 0.05], [-np.inf, -np.inf], [np.nan, np.nan]])
    found = extrapolate_pruned(raw, gains)
    assert found[:4] == pytest.approx(np.array([[np.inf, 0.5], [0, 0.65], [0, 0.3], [-np.inf, -np.inf]]))
    assert np.isnan(found[4]).all()
    # A trial that skipped an early rung and did badly later is not above one that did well there.
    assert gaussian_ranks(found[:4]).argsort().tolist() == [3, 2, 1, 0]
