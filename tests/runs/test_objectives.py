"""Several objectives: fronts and halving against definitions, the samplers, and a whole search."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume

from nas.report.front import Front, _hypervolume, figures
from nas.runs.objectives import crowded_comparison_ranks, crowding_distances, non_domination_ranks
from nas.runs.run import Run
from nas.samplers import SurrogateSampler, make_sampler
from nas.samplers.scores import scalarize, weight_vectors
from nas.stopping.pareto import ParetoHalving
from nas.training import latency_ms
from tests.shell import SHORT, Shell

optuna.logging.set_verbosity(optuna.logging.ERROR)

points = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=25)


def dominates(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and one != other


@given(points)
def test_non_domination_ranks_agree_with_the_definition(rows: list[tuple[int, ...]]) -> None:
    found, left, level = non_domination_ranks(np.array(rows)), set(range(len(rows))), 0
    while left:
        first = {i for i in left if not any(dominates(rows[j], rows[i]) for j in left)}
        assert {i for i in range(len(rows)) if found[i] == level} == first
        left, level = left - first, level + 1


@given(points)
def test_crowded_comparison_ranks_are_a_permutation_sorted_by_front(rows: list[tuple[int, ...]]) -> None:
    array = np.array(rows, dtype=float)
    ranks, front = crowded_comparison_ranks(array), non_domination_ranks(array)
    assert sorted(ranks) == list(range(len(rows)))
    assert all(np.diff(front[np.argsort(ranks)]) >= 0)


def test_crowding_distances_by_hand() -> None:
    found = crowding_distances(np.array([[0.0, 10.0], [1.0, 6.0], [4.0, 4.0], [10.0, 0.0]]))
    assert found[[0, 3]].tolist() == [np.inf, np.inf]
    assert found[1:3] == pytest.approx([4 / 10 + 6 / 10, 9 / 10 + 6 / 10])


@pytest.mark.filterwarnings("error")
def test_crowding_distances_beside_an_infinite_score() -> None:
    found = crowding_distances(np.array([[-np.inf, np.inf], [0.0, 3.0], [1.0, 2.0], [3.0, 0.0]]))
    assert np.isinf(found[[0, 3]]).all()
    assert found[1:3] == pytest.approx([1 / 3 + 1 / 3, 3 / 3 + 3 / 3])
    assert np.isinf(crowding_distances(np.full((2, 2), -np.inf))).all()


@given(points)
def test_hypervolume_agrees_with_optuna(rows: list[tuple[int, ...]]) -> None:
    array = np.array(rows, dtype=float)
    assert _hypervolume(array, np.full(3, -1.0)) == pytest.approx(compute_hypervolume(-array, np.full(3, 1.0)))


def test_small_networks_are_compared_with_small_ones() -> None:
    costs = dict(enumerate([100.0, 101.0, 102.0, 103.0, 104.0, 1.0, 95.0, 2.0, 105.0]))
    rule = ParetoHalving((1, 3, 9), lambda number: (costs[number],))
    scores = [0.50, 0.40, 0.41, 0.42, 0.43, 0.20, 0.10, 0.19, 0.51]
    went = [rule.goes_on(number, 1, score) for number, score in enumerate(scores)]
    # The sixth is the smallest network and the last one scores best; those between are dominated.
    assert went == [True, True, False, False, False, True, False, False, True]
    assert rule.goes_on(4, 9, 0.0)


def test_weights_of_all_directions_are_positive_and_sum_to_one() -> None:
    for objectives in (2, 3):
        weights = weight_vectors(8, objectives)
        assert (weights > 0).all()
        assert weights.sum(axis=1) == pytest.approx(1.0)
        assert len({int(w.argmax()) for w in weights}) == objectives


def test_scalarize_is_the_augmented_chebyshev_distance_of_ranks() -> None:
    reached = np.array([[np.inf, 3.0, 1.0], [np.inf, 2.0, 2.0], [np.inf, 1.0, 3.0], [1.0, np.nan, np.nan]])
    found = scalarize(reached, np.array([0.75, 0.25]))
    # Ranks are among the trials with a score, however many failed.
    distances = 1 - np.array([[3, 1], [2, 2], [1, 3]]) / 3
    expected = [-max(0.75 * a, 0.25 * b) - 0.05 * (0.75 * a + 0.25 * b) for a, b in distances]
    assert found[:3, 1] == pytest.approx(expected)
    assert np.isnan(found[3, 1])
    assert scalarize(reached[:, :2], np.ones(1)) is not None


def test_pruned_trials_with_costs_in_other_units_do_not_change_the_scores_of_others() -> None:
    complete = np.array([[np.inf, 3.0, -300.0], [np.inf, 2.0, -200.0], [np.inf, 1.0, -100.0]])
    weights = np.array([0.4, 0.6])
    for unit in (1.0, 1e6):
        pruned = np.array([[0.0, 2.5, -2.0 * unit], [0.0, 0.5, -1.0 * unit]])
        found = scalarize(np.concatenate([complete, pruned]), weights)
        assert found[:3] == pytest.approx(scalarize(complete, weights))
        assert found[3:] == pytest.approx(scalarize(pruned, weights))


def valley(trial: optuna.Trial) -> tuple[float, float]:
    """Two objectives that conflict along one parameter; the other nine worsen both."""
    x = trial.suggest_float("x", 0.0, 1.0)
    penalty = sum(trial.suggest_int(f"y{i}", 0, 5) for i in range(9)) / 9
    return x * (1 + penalty), (1 - np.sqrt(x)) * (1 + penalty)


def test_a_front_is_found_sooner_than_at_random() -> None:
    volumes = {}
    for sampler in ("surrogate", "random"):
        found = []
        for seed in range(3):
            study = optuna.create_study(sampler=make_sampler(sampler, seed), directions=["minimize", "minimize"])
            study.optimize(valley, n_trials=60)
            found.append(compute_hypervolume(np.minimum([t.values for t in study.trials], 3.0), np.array([3.0, 3.0])))
        volumes[sampler] = float(np.mean(found))
    assert volumes["surrogate"] > volumes["random"] + 1.0


def test_a_resumed_study_of_several_objectives_goes_on_exactly() -> None:
    def made() -> optuna.Study:
        return optuna.create_study(sampler=SurrogateSampler(seed=1), directions=["minimize", "minimize"])

    whole, first, second = made(), made(), made()
    whole.optimize(valley, n_trials=24)
    first.optimize(valley, n_trials=15)
    second.add_trials(first.trials)
    second.optimize(valley, n_trials=9)
    assert [t.params for t in second.trials] == [t.params for t in whole.trials]


def test_latency_is_of_one_image_and_grows_with_the_work() -> None:
    small, large = torch.nn.Conv2d(3, 2, 1), torch.nn.Sequential(*(torch.nn.LazyConv2d(64, 5) for _ in range(4)))
    seen = []
    small.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    took = latency_ms(small, (48, 64), torch.device("cpu"))
    assert set(seen) == {(1, 3, 48, 64)}
    assert 0 < took < latency_ms(large, (48, 64), torch.device("cpu"))


def test_a_front_of_more_than_three_objectives_is_drawn_by_lines() -> None:
    rows = (("trial 1", (0.5, 9.0, 3.0, 100.0)), ("trial 2", (0.4, 4.0, 1.0, 90.0)))
    study = optuna.create_study(directions=["maximize", "minimize", "minimize", "minimize"])
    study.add_trials([optuna.trial.create_trial(values=values) for _, values in rows])
    front = Front(("miou", "params", "latency", "memory"), rows, 0.1)
    drawn = figures(SimpleNamespace(study=lambda: study), front)  # type: ignore[arg-type]
    one, other = drawn["Front"].data
    assert (one.name, other.name) == ("trial 1", "trial 2")
    assert tuple(one.x) == ("miou", "params", "latency", "memory")
    # Scaled from worst to best: the first has the higher mIoU and the higher costs.
    assert (tuple(one.y), tuple(other.y)) == ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 1.0, 1.0))
    assert tuple(one.text) == ("0.500", "9", "3 ms", "100 MB")
    assert drawn["Hypervolume"].data


@pytest.mark.slow
def test_a_search_of_three_objectives_ends_with_a_front_and_can_be_extended(shell: Shell) -> None:
    options = ("--objectives", "miou,params,latency", "--latency-on", "cpu", "--budget", "6", "--name", "one")
    ended = shell.run("search", "--space", "small.py", *options, *SHORT)
    assert ended.returncode == 0, ended.stderr
    assert "Pareto front of miou, params, latency" in ended.stdout
    assert all(len(line) <= 80 for line in ended.stdout[ended.stdout.index("Ranking") :].splitlines())
    again = shell.run("search", "--resume", "runs/one", "--budget", "8")
    assert again.returncode == 0, again.stderr
    run = Run(shell.folder / "runs" / "one")
    study = run.study()
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    counted = [t for t in study.trials if t.user_attrs.get("outcome") in ("complete", "pruned")]
    assert len({t.user_attrs["hash"] for t in counted}) == 8
    for trial in counted:
        if trial.user_attrs["outcome"] == "complete":
            attrs = trial.user_attrs
            assert trial.values == [
                pytest.approx(run.frame().loc[trial.number, "miou"]),
                attrs["params"],
                attrs["latency_ms"],
            ]
        assert trial.user_attrs["rungs"]
    page = (run.folder / "report.html").read_text()
    assert "<h2>Pareto front</h2>" in page and "figure-hypervolume" in page
    assert run.ranking.query("not naive")["latency_ms"].notna().all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--objectives", "params"), "put miou first"),
        (("--objectives", "miou,speed"), "'speed' is unknown"),
        (("--objectives", "miou,macs,macs"), "name each of them once"),
        (("--objectives", "miou,params", "--sampler", "evolution"), "supports a single objective"),
        (("--objectives", "miou,params", "--stopping", "curve"), "supports a single objective"),
        (("--stopping", "guess"), "--stopping guess: unknown rule; choose from"),
    ],
)
def test_unsupported_options_are_refused_in_one_line(shell: Shell, options: tuple[str, ...], words: str) -> None:
    ended = shell.run("search", "--space", "small.py", *options, *SHORT)
    assert ended.returncode == 2
    assert words in ended.stderr and "Traceback" not in ended.stderr
    assert not Path(shell.folder / "runs").exists()
