"""Several objectives: fronts and halving against definitions, the samplers, and a whole search as a user types it."""

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
from nas.runs.objectives import crowding, fronts, standing
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
def test_fronts_are_peeled_off_one_by_one(rows: list[tuple[int, ...]]) -> None:
    found, left, level = fronts(np.array(rows)), set(range(len(rows))), 0
    while left:
        first = {i for i in left if not any(dominates(rows[j], rows[i]) for j in left)}
        assert {i for i in range(len(rows)) if found[i] == level} == first
        left, level = left - first, level + 1


@given(points)
def test_standing_goes_by_front_and_each_place_is_taken_once(rows: list[tuple[int, ...]]) -> None:
    array = np.array(rows, dtype=float)
    place, front = standing(array), fronts(array)
    assert sorted(place) == list(range(len(rows)))
    assert all(np.diff(front[np.argsort(place)]) >= 0)


def test_crowding_by_hand() -> None:
    found = crowding(np.array([[0.0, 10.0], [1.0, 6.0], [4.0, 4.0], [10.0, 0.0]]))
    assert found[[0, 3]].tolist() == [np.inf, np.inf]
    assert found[1:3] == pytest.approx([4 / 10 + 6 / 10, 9 / 10 + 6 / 10])


@pytest.mark.filterwarnings("error")
def test_crowding_beside_an_infinite_score() -> None:
    found = crowding(np.array([[-np.inf, np.inf], [0.0, 3.0], [1.0, 2.0], [3.0, 0.0]]))
    assert np.isinf(found[[0, 3]]).all()
    assert found[1:3] == pytest.approx([1 / 3 + 1 / 3, 3 / 3 + 3 / 3])
    assert np.isinf(crowding(np.full((2, 2), -np.inf))).all()


@given(points)
def test_hypervolume_agrees_with_optuna(rows: list[tuple[int, ...]]) -> None:
    array = np.array(rows, dtype=float)
    assert _hypervolume(array, np.full(3, -1.0)) == pytest.approx(compute_hypervolume(-array, np.full(3, 1.0)))


def test_small_networks_are_not_stopped_for_being_small() -> None:
    costs = dict(enumerate([100.0, 101.0, 102.0, 103.0, 104.0, 1.0, 95.0, 2.0, 105.0]))
    rule = ParetoHalving((1, 3, 9), lambda number: (costs[number],))
    scores = [0.50, 0.40, 0.41, 0.42, 0.43, 0.20, 0.10, 0.19, 0.51]
    went = [rule.goes_on(number, 1, score) for number, score in enumerate(scores)]
    # The sixth is the smallest network, and the last scores best; those between are beaten in both respects.
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
    # Among those that have a score: the first of all is not behind, however many failed.
    behind = 1 - np.array([[3, 1], [2, 2], [1, 3]]) / 3
    expected = [-max(0.75 * a, 0.25 * b) - 0.05 * (0.75 * a + 0.25 * b) for a, b in behind]
    assert found[:3, 1] == pytest.approx(expected)
    assert np.isnan(found[3, 1])
    assert scalarize(reached[:, :2], np.ones(1)) is not None


def test_what_pruned_trials_cost_in_other_units_does_not_move_the_others() -> None:
    complete = np.array([[np.inf, 3.0, -300.0], [np.inf, 2.0, -200.0], [np.inf, 1.0, -100.0]])
    weights = np.array([0.4, 0.6])
    for unit in (1.0, 1e6):
        pruned = np.array([[0.0, 2.5, -2.0 * unit], [0.0, 0.5, -1.0 * unit]])
        found = scalarize(np.concatenate([complete, pruned]), weights)
        assert found[:3] == pytest.approx(scalarize(complete, weights))
        assert found[3:] == pytest.approx(scalarize(pruned, weights))


def valley(trial: optuna.Trial) -> tuple[float, float]:
    """Two objectives at odds along one gene; the other nine only harm."""
    x = trial.suggest_float("x", 0.0, 1.0)
    harm = sum(trial.suggest_int(f"y{i}", 0, 5) for i in range(9)) / 9
    return x * (1 + harm), (1 - np.sqrt(x)) * (1 + harm)


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
    # Each from its worst to its best: the first has the higher mIoU, and costs more of everything.
    assert (tuple(one.y), tuple(other.y)) == ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 1.0, 1.0))
    assert tuple(one.text) == ("0.500", "9", "3 ms", "100 MB")
    assert drawn["Hypervolume"].data


@pytest.mark.slow
def test_a_search_of_three_objectives_ends_with_a_front_and_can_be_extended(shell: Shell) -> None:
    options = ("--objectives", "miou,params,latency", "--latency-on", "cpu", "--budget", "6", "--name", "one")
    ended = shell.run("search", "--space", "small.py", *options, *SHORT)
    assert ended.returncode == 0, ended.stderr
    assert "Front of miou, params, latency" in ended.stdout
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
    assert "<h2>Front</h2>" in page and "figure-hypervolume" in page
    assert run.ranking.query("not naive")["latency_ms"].notna().all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--objectives", "params"), "put miou first"),
        (("--objectives", "miou,speed"), "'speed' is unknown"),
        (("--objectives", "miou,macs,macs"), "name each of them once"),
        (("--objectives", "miou,params", "--sampler", "evolution"), "serves one objective"),
        (("--objectives", "miou,params", "--stopping", "curve"), "serves one objective"),
        (("--stopping", "guess"), "--stopping guess: unknown rule; choose from"),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_line(shell: Shell, options: tuple[str, ...], words: str) -> None:
    ended = shell.run("search", "--space", "small.py", *options, *SHORT)
    assert ended.returncode == 2
    assert words in ended.stderr and "Traceback" not in ended.stderr
    assert not Path(shell.folder / "runs").exists()
