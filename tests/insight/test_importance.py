"""Importances against functions of known variance, in conditional and unconditional spaces."""

from __future__ import annotations

import itertools
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import TrialState
from scipy.stats import norm, rankdata

from nas.errors import UserError
from nas.insight.effects import Importance
from nas.insight.importance import importance
from nas.insight.variance import Levels, functional_anova, interaction_table
from nas.samplers.column import INACTIVE, Column

optuna.logging.set_verbosity(optuna.logging.ERROR)

Direction = Literal["minimize", "maximize"]

NORMS = {"batch": 0.0, "group": 0.6, "layer": 1.2}
JIGSAW = {"batch": 0.6, "group": -0.6, "layer": 1.2}
"""Effect of jigsaw by norm."""


def random_search(
    objective: Callable[[optuna.Trial], float], trials: int, direction: Direction = "maximize"
) -> optuna.Study:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), direction=direction)
    study.optimize(objective, n_trials=trials)
    return study


def shares(found: Importance) -> dict[str, float]:
    assert found.reason == ""
    return {effect.path: effect.share for effect in found.effects}


def interactions(found: Importance) -> dict[frozenset[str], float]:
    return {frozenset((pair.one, pair.other)): pair.share for pair in found.interactions}


def conditional(trial: optuna.Trial) -> float:
    """Effects of norm and jigsaw as above, up to 1 of a conditional weight, none of spare and vain."""
    kind = trial.suggest_categorical("norm", list(NORMS))
    trial.suggest_categorical("spare", ["a", "b", "c"])
    trial.suggest_float("vain", 0.0, 1.0)
    jigsaw = trial.suggest_categorical("jigsaw", [False, True])
    if not jigsaw:
        return NORMS[kind]
    return NORMS[kind] + JIGSAW[kind] + trial.suggest_float("jigsaw.weight", 0.0, 1.0)


def enumerated() -> np.ndarray:
    """Values by norm, jigsaw off and on, and weight: 3 x 2 x 400, equally likely."""
    weights = (np.arange(400) + 0.5) / 400
    return np.array([[0.0 * weights + add, weights + add + JIGSAW[name]] for name, add in NORMS.items()])


def ranked() -> np.ndarray:
    """The same values as normal quantiles of their ranks, which the model is fitted to."""
    values = enumerated()
    return norm.ppf((rankdata(values) - 0.5) / values.size).reshape(values.shape)


def parts_of(table: np.ndarray) -> dict[str, float]:
    """Variance components by their definition; that of the weight where jigsaw is on."""
    table = table - table.mean()
    kind, jigsaw, both = table.mean((1, 2)), table.mean((0, 2)), table.mean(2)
    return {
        "norm": float((kind**2).mean()),
        "jigsaw": float((jigsaw**2).mean()),
        "jigsaw.weight": float(table[:, 1].mean(0).var() / 2),
        "both": float(((both - kind[:, None] - jigsaw[None]) ** 2).mean()),
        "total": float((table**2).mean()),
    }


@pytest.fixture(scope="module")
def found() -> Importance:
    return importance(random_search(conditional, 200))


def test_enumerated_components_match_hand_computed_ones() -> None:
    # Norm: 0 + 0.3, 0.6 - 0.3, 1.2 + 0.6. Jigsaw: 0.4 + 0.5 or 0. Weight: half of 1 / 12. Both: +-0.1, 0.5 and 0.4.
    by_hand = {
        "norm": 0.5,
        "jigsaw": 0.9**2 / 4,
        "jigsaw.weight": 1 / 24,
        "both": (0.01 + 0.25 + 0.16) / 3,
    }
    assert parts_of(enumerated()) == pytest.approx(by_hand | {"total": sum(by_hand.values())}, abs=1e-4)


def test_shares_of_an_additive_function_with_one_interaction(found: Importance) -> None:
    expected = parts_of(ranked())
    assert found.explained is not None and found.explained > 0.8
    assert found.trials == 200
    for path in ("norm", "jigsaw", "jigsaw.weight"):
        assert shares(found)[path] == pytest.approx(expected[path] / expected["total"], abs=0.05), path
    assert interactions(found)[frozenset(("norm", "jigsaw"))] == pytest.approx(
        expected["both"] / expected["total"], abs=0.03
    )
    assert sum(shares(found).values()) + sum(interactions(found).values()) <= 1.02


def test_parameters_without_effect_are_not_listed(found: Importance) -> None:
    assert "spare" not in shares(found) and "vain" not in shares(found)
    assert not any("spare" in pair or "vain" in pair for pair in interactions(found))


def test_best_values_and_sentence_match_the_function(found: Importance) -> None:
    best = {effect.path: effect.best for effect in found.effects}
    assert (best["norm"], best["jigsaw"]) == ("layer", "on")
    assert best["jigsaw.weight"].endswith("to 1")
    assert all(effect.gain > 2 * effect.gain_error > 0 for effect in found.effects)
    pair = next(p for p in found.interactions if {p.one, p.other} == {"norm", "jigsaw"})
    said = re.fullmatch(r"jigsaw=on helps with norm=(\w+) \((.+)\) but not with norm=(\w+) \((.+)\)", pair.sentence)
    assert said is not None
    means = ranked().mean(2)
    expected = dict(zip(NORMS, means[:, 1] - means[:, 0], strict=True))
    assert (said[1], said[3]) == (max(expected, key=expected.__getitem__), min(expected, key=expected.__getitem__))
    assert float(said[2]) == pytest.approx(expected[said[1]], abs=0.15)
    assert float(said[4]) == pytest.approx(expected[said[3]], abs=0.15)


def test_a_conditional_parameter_is_not_credited_with_the_effect_of_its_condition() -> None:
    def branch(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["none", "one", "two"])
        if kind == "none":
            return random.Random(trial.number).gauss(0.0, 0.1)
        depth = trial.suggest_int(f"kind.{kind}.depth", 1, 4)
        trial.suggest_float(f"kind.{kind}.rate", 1e-4, 1.0, log=True)
        return 1.0 + (0.2 * depth if kind == "two" else 0.0)

    named = shares(importance(random_search(branch, 200)))
    assert named["kind"] > 0.7
    assert set(named) == {"kind", "kind.two.depth"}


def test_a_pure_interaction() -> None:
    def either(trial: optuna.Trial) -> float:
        a, b = (trial.suggest_categorical(name, [0, 1]) for name in "ab")
        noise = random.Random(trial.number).gauss(0.0, 0.1)
        trial.suggest_float("vain", 0.0, 1.0)
        return float(a != b) + 0.3 * trial.suggest_categorical("c", [0, 1]) + noise

    found = importance(random_search(either, 200))
    # The four values, determined by the pair and then by c, are the quarters of a normal distribution in ranks, with
    # means +-1.271 and +-0.325.
    pair, single = ((1.271 + 0.325) / 2) ** 2, ((1.271 - 0.325) / 2) ** 2
    assert interactions(found)[frozenset("ab")] == pytest.approx(pair / (pair + single), abs=0.05)
    assert shares(found)["c"] == pytest.approx(single / (pair + single), abs=0.05)
    assert shares(found).get("a", 0.0) < 0.03 and shares(found).get("b", 0.0) < 0.03
    sentence = found.interactions[0].sentence
    assert "helps with" in sentence and "but hurts with" in sentence


def plain(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("x", 0.0, 1.0), trial.suggest_float("y", 0.0, 1.0)
    kind = trial.suggest_categorical("kind", "abc")
    trial.suggest_float("z", 0.0, 1.0)
    return 3.0 * x + 1.5 * (2.0 * y - 1.0) ** 2 + 0.5 * "abc".index(kind)


def test_shares_agree_with_optuna_in_an_unconditional_space() -> None:
    study = random_search(plain, 200, "minimize")
    other = FanovaImportanceEvaluator(seed=0).evaluate(study)
    ours = shares(importance(study))
    for path, share in other.items():
        assert ours.get(path, 0.0) == pytest.approx(share, abs=0.12), path
    # 9 / 12; 2.25 x (1 / 5 - 1 / 9); 0.25 x 2 / 3
    parts = np.array([9 / 12, 2.25 * 4 / 45, 0.5 / 3])
    assert [ours[path] for path in ("x", "y", "kind")] == pytest.approx(parts / parts.sum(), abs=0.06)
    assert {effect.path: effect.best for effect in importance(study).effects}["kind"] == "a"


def test_functional_anova_of_a_known_function() -> None:
    rng = np.random.default_rng(0)
    columns = [Column(CategoricalDistribution("abcd")), Column(CategoricalDistribution("xyz"))]
    columns.append(Column(FloatDistribution(0.0, 1.0)))
    codes = np.stack([column.sample(20_000, rng) for column in columns], axis=1)
    table = rng.standard_normal((4, 3))
    values = table[codes[:, 0].astype(int), codes[:, 1].astype(int)]
    levels = [Levels(codes[:, p], column) for p, column in enumerate(columns)]
    parts = functional_anova(values, levels)
    rows, cols = table.mean(1) - table.mean(), table.mean(0) - table.mean()
    rest = table - table.mean() - rows[:, None] - cols[None]
    assert parts.shares[:2] == pytest.approx(np.array([rows.var(), cols.var()]) / table.var(), abs=0.02)
    assert parts.pairs[0, 1] == pytest.approx((rest**2).mean() / table.var(), abs=0.02)
    assert parts.shares[2] < 0.002 and parts.pairs[:, 2].max() == 0.0
    # Gain of level i over the others, at level j of the second parameter.
    gain = (table - table.mean(0)) * 4 / 3
    assert interaction_table(parts, levels, 0, 1) == pytest.approx(gain, abs=0.08)


def test_functional_anova_of_a_constant_and_of_exclusive_branches() -> None:
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(2, size=400), *rng.random((2, 400))], axis=1)
    codes[codes[:, 0] == 0, 1] = INACTIVE
    codes[codes[:, 0] == 1, 2] = INACTIVE
    columns = [Column(CategoricalDistribution("ab")), *(Column(FloatDistribution(0.0, 1.0)) for _ in range(2))]
    levels = [Levels(codes[:, p], column) for p, column in enumerate(columns)]
    assert functional_anova(np.ones(400), levels).shares.sum() == 0.0
    parts = functional_anova(codes.max(1), levels)
    assert parts.pairs.sum() == 0.0
    assert np.isnan(interaction_table(parts, levels, 1, 2)).all()


def test_names_of_levels() -> None:
    rng = np.random.default_rng(0)
    rate = Column(FloatDistribution(1e-4, 1.0, log=True))
    shown = Levels(rate.sample(5000, rng), rate).names
    assert len(shown) == 6
    ends = [tuple(map(float, name.split(" to "))) for name in shown]
    assert all(one[1] == pytest.approx(two[0], rel=0.1) for one, two in itertools.pairwise(ends))
    assert ends[2][1] == pytest.approx(1e-2, rel=0.2)  # half of the draws, in logarithms
    uneven = Column(IntDistribution(1, 12, log=True))
    counts = Levels(uneven.sample(5000, rng), uneven)
    inside = [tuple(map(int, name.split(" to "))) for name in counts.names]
    assert [n for ends in inside for n in range(ends[0], ends[-1] + 1)] == list(range(1, 13))
    assert np.bincount(counts.index).min() > 0
    assert Levels(np.full(9, INACTIVE), rate).index.tolist() == [-1] * 9
    switch = Levels(np.array([0.0, INACTIVE, 1.0]), Column(CategoricalDistribution([False, True])))
    assert switch.names == ["off", "on"] and switch.index.tolist() == [0, -1, 1]


def test_too_few_trials() -> None:
    for count in (0, 1, 19):
        found = importance(random_search(plain, count))
        assert found.effects == () and found.interactions == () and found.explained is None
        assert found.reason.startswith(f"{count} scored trials are too few")


@pytest.mark.parametrize("seed", range(6))
def test_noise_has_no_effects(seed: int) -> None:
    rng = random.Random(seed)

    def noise(trial: optuna.Trial) -> float:
        for name in "abcdefgh":
            trial.suggest_categorical(name, [0, 1, 2])
        trial.suggest_float("x", 0.0, 1.0)
        return rng.gauss(0.0, 1.0)

    found = importance(random_search(noise, 60))
    assert found.effects == () and "no better than chance" in found.reason


def test_equal_scores_have_no_effects() -> None:
    def flat(trial: optuna.Trial) -> float:
        return 1.0 + 0.0 * trial.suggest_float("x", 0.0, 1.0)

    assert importance(random_search(flat, 30)).reason


SWITCHES: dict[str, BaseDistribution] = {name: CategoricalDistribution([0, 1, 2]) for name in "abcd"}


def stored(count: int, how: Callable[[dict[str, int]], dict[str, Any]]) -> optuna.Study:
    study, rng = optuna.create_study(direction="maximize"), random.Random(0)
    for _ in range(count):
        params = {name: rng.randrange(3) for name in SWITCHES}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=SWITCHES, **how(params)))
    return study


def test_pruned_trials_rank_below_complete_ones() -> None:
    # By their last reports alone, b would be the most important.
    def stopped_early(params: dict[str, int]) -> dict[str, Any]:
        if params["a"] == 2:
            return {"value": 0.1 * params["b"]}
        return {"state": TrialState.PRUNED, "intermediate_values": {10 * (1 + params["a"]): 1.0 + params["b"]}}

    named = shares(importance(stored(80, stopped_early)))
    assert named["a"] > 0.6 and named["a"] > 2 * named["b"]


def test_failures_and_duplicates_are_left_out() -> None:
    def failing(params: dict[str, int]) -> dict[str, Any]:
        if params["c"] == 2:
            return {"state": TrialState.FAIL, "user_attrs": {"outcome": "infeasible"}}
        return {"value": params["a"] + 0.1 * params["b"] + 0.01 * params["d"]}

    study = stored(90, failing)
    first = importance(study)
    assert first.trials == len(study.get_trials(states=(TrialState.COMPLETE,)))
    for trial in study.get_trials(states=(TrialState.COMPLETE,))[:20] * 3:
        again = optuna.trial.create_trial(
            params=trial.params,
            distributions=trial.distributions,
            value=trial.value,
            user_attrs={"candidate": "{}", "outcome": "duplicate"},
        )
        study.add_trial(again)
    assert importance(study).trials == first.trials
    assert "c" not in shares(importance(study))


def test_importance_is_deterministic_and_survives_json() -> None:
    study = random_search(conditional, 60)
    found = importance(study)
    assert importance(study) == found
    study.set_user_attr("importance", found.to_data())
    assert Importance.from_data(json.loads(json.dumps(study.user_attrs["importance"]))) == found
    few = importance(random_search(conditional, 3))
    assert Importance.from_data(json.loads(json.dumps(few.to_data()))) == few


def test_several_objectives_are_an_error() -> None:
    with pytest.raises(UserError, match="one objective"):
        importance(optuna.create_study(directions=["maximize", "minimize"]))


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, nas.api, nas.runs.run, nas.insight.effects\n"
    code += "sys.exit(any(m in sys.modules for m in ('scipy', 'optuna', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
