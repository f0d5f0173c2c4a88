"""Importances against functions whose variance can be written out, in conditional spaces and in plain ones."""

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
from nas.insight.variance import Levels, pair_table, split
from nas.samplers.genome import INACTIVE, Column

optuna.logging.set_verbosity(optuna.logging.ERROR)

Direction = Literal["minimize", "maximize"]

NORMS = {"batch": 0.0, "group": 0.6, "layer": 1.2}
JIGSAW = {"batch": 0.6, "group": -0.6, "layer": 1.2}
"""What jigsaw adds beside a norm."""


def tried(objective: Callable[[optuna.Trial], float], trials: int, direction: Direction = "maximize") -> optuna.Study:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), direction=direction)
    study.optimize(objective, n_trials=trials)
    return study


def shares(found: Importance) -> dict[str, float]:
    assert found.reason == ""
    return {effect.path: effect.share for effect in found.effects}


def together(found: Importance) -> dict[frozenset[str], float]:
    return {frozenset((pair.one, pair.other)): pair.share for pair in found.interactions}


def conditional(trial: optuna.Trial) -> float:
    """Norm and jigsaw add what is above; a weight, under jigsaw, up to 1; spare and vain nothing."""
    kind = trial.suggest_categorical("norm", list(NORMS))
    trial.suggest_categorical("spare", ["a", "b", "c"])
    trial.suggest_float("vain", 0.0, 1.0)
    jigsaw = trial.suggest_categorical("jigsaw", [False, True])
    if not jigsaw:
        return NORMS[kind]
    return NORMS[kind] + JIGSAW[kind] + trial.suggest_float("jigsaw.weight", 0.0, 1.0)


def enumerated() -> np.ndarray:
    """The values of every norm, jigsaw off and on, and weight, 3 x 2 x 400, all of equal chance."""
    weights = (np.arange(400) + 0.5) / 400
    return np.array([[0.0 * weights + add, weights + add + JIGSAW[name]] for name, add in NORMS.items()])


def ranked() -> np.ndarray:
    """The same as normal quantiles of ranks, which is what the model sees."""
    values = enumerated()
    return norm.ppf((rankdata(values) - 0.5) / values.size).reshape(values.shape)


def parts_of(table: np.ndarray) -> dict[str, float]:
    """Variances by definition: of means over all else, less what their parts explain; the weight's under jigsaw."""
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
    return importance(tried(conditional, 200))


def test_the_enumeration_is_right_by_hand() -> None:
    # Norm: 0 + 0.3, 0.6 - 0.3, 1.2 + 0.6. Jigsaw: 0.4 + 0.5 or 0. Weight: half of 1 / 12. Both: +-0.1, 0.5 and 0.4.
    by_hand = {
        "norm": 0.5,
        "jigsaw": 0.9**2 / 4,
        "jigsaw.weight": 1 / 24,
        "both": (0.01 + 0.25 + 0.16) / 3,
    }
    assert parts_of(enumerated()) == pytest.approx(by_hand | {"total": sum(by_hand.values())}, abs=1e-4)


def test_an_additive_function_with_one_interaction_in_a_conditional_space(found: Importance) -> None:
    expected = parts_of(ranked())
    assert found.explained is not None and found.explained > 0.8
    assert found.trials == 200
    for path in ("norm", "jigsaw", "jigsaw.weight"):
        assert shares(found)[path] == pytest.approx(expected[path] / expected["total"], abs=0.05), path
    assert together(found)[frozenset(("norm", "jigsaw"))] == pytest.approx(
        expected["both"] / expected["total"], abs=0.03
    )
    assert sum(shares(found).values()) + sum(together(found).values()) <= 1.02


def test_what_has_no_effect_is_not_named(found: Importance) -> None:
    assert "spare" not in shares(found) and "vain" not in shares(found)
    assert not any("spare" in pair or "vain" in pair for pair in together(found))


def test_best_values_and_the_sentence_are_those_of_the_function(found: Importance) -> None:
    best = {effect.path: effect.best for effect in found.effects}
    assert (best["norm"], best["jigsaw"]) == ("layer", "on")
    assert best["jigsaw.weight"].endswith("to 1")
    assert all(effect.gain > 2 * effect.gain_error > 0 for effect in found.effects)
    pair = next(p for p in found.interactions if {p.one, p.other} == {"norm", "jigsaw"})
    said = re.fullmatch(r"jigsaw=on helps with norm=(\w+) \((.+)\) and not with norm=(\w+) \((.+)\)", pair.sentence)
    assert said is not None
    means = ranked().mean(2)
    expected = dict(zip(NORMS, means[:, 1] - means[:, 0], strict=True))
    assert (said[1], said[3]) == (max(expected, key=expected.__getitem__), min(expected, key=expected.__getitem__))
    assert float(said[2]) == pytest.approx(expected[said[1]], abs=0.15)
    assert float(said[4]) == pytest.approx(expected[said[3]], abs=0.15)


def test_a_child_is_not_credited_with_its_parents_effect() -> None:
    def branch(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["none", "one", "two"])
        if kind == "none":
            return random.Random(trial.number).gauss(0.0, 0.1)
        depth = trial.suggest_int(f"kind.{kind}.depth", 1, 4)
        trial.suggest_float(f"kind.{kind}.rate", 1e-4, 1.0, log=True)
        return 1.0 + (0.2 * depth if kind == "two" else 0.0)

    named = shares(importance(tried(branch, 200)))
    assert named["kind"] > 0.7
    assert set(named) == {"kind", "kind.two.depth"}


def test_a_pair_that_acts_only_together() -> None:
    def either(trial: optuna.Trial) -> float:
        a, b = (trial.suggest_categorical(name, [0, 1]) for name in "ab")
        noise = random.Random(trial.number).gauss(0.0, 0.1)
        trial.suggest_float("vain", 0.0, 1.0)
        return float(a != b) + 0.3 * trial.suggest_categorical("c", [0, 1]) + noise

    found = importance(tried(either, 200))
    # Four levels of the value, told apart by a and b and then by c, are four quarters of a normal distribution in
    # ranks: +-1.271 and +-0.325 in the mean.
    pair, single = ((1.271 + 0.325) / 2) ** 2, ((1.271 - 0.325) / 2) ** 2
    assert together(found)[frozenset("ab")] == pytest.approx(pair / (pair + single), abs=0.05)
    assert shares(found)["c"] == pytest.approx(single / (pair + single), abs=0.05)
    assert shares(found).get("a", 0.0) < 0.03 and shares(found).get("b", 0.0) < 0.03
    sentence = found.interactions[0].sentence
    assert "helps with" in sentence and "and hurts with" in sentence


def plain(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("x", 0.0, 1.0), trial.suggest_float("y", 0.0, 1.0)
    kind = trial.suggest_categorical("kind", "abc")
    trial.suggest_float("z", 0.0, 1.0)
    return 3.0 * x + 1.5 * (2.0 * y - 1.0) ** 2 + 0.5 * "abc".index(kind)


def test_effects_agree_with_another_evaluator_where_nothing_is_conditional() -> None:
    study = tried(plain, 200, "minimize")
    other = FanovaImportanceEvaluator(seed=0).evaluate(study)
    ours = shares(importance(study))
    for path, share in other.items():
        assert ours.get(path, 0.0) == pytest.approx(share, abs=0.12), path
    # 9 / 12; 2.25 x (1 / 5 - 1 / 9); 0.25 x 2 / 3
    parts = np.array([9 / 12, 2.25 * 4 / 45, 0.5 / 3])
    assert [ours[path] for path in ("x", "y", "kind")] == pytest.approx(parts / parts.sum(), abs=0.06)
    assert {effect.path: effect.best for effect in importance(study).effects}["kind"] == "a"


def test_the_split_of_a_known_function_is_its_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    columns = [Column(CategoricalDistribution("abcd")), Column(CategoricalDistribution("xyz"))]
    columns.append(Column(FloatDistribution(0.0, 1.0)))
    codes = np.stack([column.draw(20_000, rng) for column in columns], axis=1)
    table = rng.standard_normal((4, 3))
    values = table[codes[:, 0].astype(int), codes[:, 1].astype(int)]
    levels = [Levels(codes[:, p], column) for p, column in enumerate(columns)]
    parts = split(values, levels)
    rows, cols = table.mean(1) - table.mean(), table.mean(0) - table.mean()
    rest = table - table.mean() - rows[:, None] - cols[None]
    assert parts.shares[:2] == pytest.approx(np.array([rows.var(), cols.var()]) / table.var(), abs=0.02)
    assert parts.pairs[0, 1] == pytest.approx((rest**2).mean() / table.var(), abs=0.02)
    assert parts.shares[2] < 0.002 and parts.pairs[:, 2].max() == 0.0
    # Of level i over the others, where the second parameter has level j.
    worth = (table - table.mean(0)) * 4 / 3
    assert pair_table(parts, levels, 0, 1) == pytest.approx(worth, abs=0.08)


def test_a_split_of_a_constant_and_of_exclusive_branches() -> None:
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(2, size=400), *rng.random((2, 400))], axis=1)
    codes[codes[:, 0] == 0, 1] = INACTIVE
    codes[codes[:, 0] == 1, 2] = INACTIVE
    columns = [Column(CategoricalDistribution("ab")), *(Column(FloatDistribution(0.0, 1.0)) for _ in range(2))]
    levels = [Levels(codes[:, p], column) for p, column in enumerate(columns)]
    assert split(np.ones(400), levels).shares.sum() == 0.0
    parts = split(codes.max(1), levels)
    assert parts.pairs.sum() == 0.0
    assert np.isnan(pair_table(parts, levels, 1, 2)).all()


def test_levels_have_names() -> None:
    rng = np.random.default_rng(0)
    rate = Column(FloatDistribution(1e-4, 1.0, log=True))
    shown = Levels(rate.draw(5000, rng), rate).names
    assert len(shown) == 6
    ends = [tuple(map(float, name.split(" to "))) for name in shown]
    assert all(one[1] == pytest.approx(two[0], rel=0.1) for one, two in itertools.pairwise(ends))
    assert ends[2][1] == pytest.approx(1e-2, rel=0.2)  # half of the draws, in logarithms
    uneven = Column(IntDistribution(1, 12, log=True))
    counts = Levels(uneven.draw(5000, rng), uneven)
    inside = [tuple(map(int, name.split(" to "))) for name in counts.names]
    assert [n for ends in inside for n in range(ends[0], ends[-1] + 1)] == list(range(1, 13))
    assert np.bincount(counts.of).min() > 0
    assert Levels(np.full(9, INACTIVE), rate).of.tolist() == [-1] * 9
    switch = Levels(np.array([0.0, INACTIVE, 1.0]), Column(CategoricalDistribution([False, True])))
    assert switch.names == ["off", "on"] and switch.of.tolist() == [0, -1, 1]


def test_too_few_trials_tell_nothing() -> None:
    for count in (0, 1, 19):
        found = importance(tried(plain, count))
        assert found.effects == () and found.interactions == () and found.explained is None
        assert found.reason.startswith(f"{count} scored trials are too few")


@pytest.mark.parametrize("seed", range(6))
def test_noise_tells_nothing(seed: int) -> None:
    rng = random.Random(seed)

    def noise(trial: optuna.Trial) -> float:
        for name in "abcdefgh":
            trial.suggest_categorical(name, [0, 1, 2])
        trial.suggest_float("x", 0.0, 1.0)
        return rng.gauss(0.0, 1.0)

    found = importance(tried(noise, 60))
    assert found.effects == () and "no better than chance" in found.reason


def test_equal_scores_tell_nothing() -> None:
    def flat(trial: optuna.Trial) -> float:
        return 1.0 + 0.0 * trial.suggest_float("x", 0.0, 1.0)

    assert importance(tried(flat, 30)).reason


SWITCHES: dict[str, BaseDistribution] = {name: CategoricalDistribution([0, 1, 2]) for name in "abcd"}


def stored(count: int, how: Callable[[dict[str, int]], dict[str, Any]]) -> optuna.Study:
    study, rng = optuna.create_study(direction="maximize"), random.Random(0)
    for _ in range(count):
        params = {name: rng.randrange(3) for name in SWITCHES}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=SWITCHES, **how(params)))
    return study


def test_a_pruned_trial_counts_as_worse_than_one_trained_in_full() -> None:
    # By their last values alone it would be b that matters.
    def stopped_early(params: dict[str, int]) -> dict[str, Any]:
        if params["a"] == 2:
            return {"value": 0.1 * params["b"]}
        return {"state": TrialState.PRUNED, "intermediate_values": {10 * (1 + params["a"]): 1.0 + params["b"]}}

    named = shares(importance(stored(80, stopped_early)))
    assert named["a"] > 0.6 and named["a"] > 2 * named["b"]


def test_failures_and_answers_from_memory_are_left_out() -> None:
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


def test_it_repeats_itself_and_survives_json() -> None:
    study = tried(conditional, 60)
    found = importance(study)
    assert importance(study) == found
    study.set_user_attr("importance", found.to_data())
    assert Importance.from_data(json.loads(json.dumps(study.user_attrs["importance"]))) == found
    few = importance(tried(conditional, 3))
    assert Importance.from_data(json.loads(json.dumps(few.to_data()))) == few


def test_several_objectives_are_refused() -> None:
    with pytest.raises(UserError, match="one objective"):
        importance(optuna.create_study(directions=["maximize", "minimize"]))


def test_the_package_stays_light() -> None:
    code = "import sys, nas.api, nas.runs.run, nas.insight.effects\n"
    code += "sys.exit(any(m in sys.modules for m in ('scipy', 'optuna', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
