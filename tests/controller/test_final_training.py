"""The final training with an instant pool: finalists, the exported network, and what is not trained twice."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from nas.controller.contenders import Contender
from nas.controller.final_training import Exported, FinalTraining, finalists, with_final
from nas.controller.naive_baselines import unbeaten_baselines, with_naive_baselines
from nas.controller.ranking import rank
from nas.controller.timing import Clock
from nas.pool import Done, Job, Message, Rung
from nas.runs.settings import Settings

STEPS = 10


@dataclass
class Instant:
    """A pool that ends each task at once, with the score in `curves` by candidate and steps."""

    curves: dict[str, dict[int, float]]
    slots: int = 2
    tasks: list[Any] = field(default_factory=list)
    waiting: list[Job] = field(default_factory=list)

    def submit(self, job: Job) -> None:
        self.tasks.append(job.payload)
        self.waiting.append(job)

    def answer(self, job_id: int, go_on: bool) -> None:
        assert go_on

    def messages(self, timeout: float) -> list[Message]:
        jobs, self.waiting = self.waiting, []
        found: list[Message] = []
        for job in jobs:
            task = job.payload
            curve = self.curves[task.candidate]
            found += [Rung(job, step, curve.get(step, 0.0)) for step in task.rungs]
            if task.save:
                Path(task.save).touch()
            # The counts of all folds together give the score.
            counts = {step: counts_of(curve.get(step, 0.0), task.fold or 0) for step in task.rungs}
            found.append(Done(job, {"miou": curve.get(task.steps, 0.0), "confusions": counts}))
        return found


def counts_of(miou: float, fold: int) -> list[int]:
    """Confusion counts of two classes, with that mIoU over the folds 0, 1 and 2 together."""
    hit, miss = (round(miou * 1000), round((1 - miou) * 500))
    return [[hit, 0, 0, hit], [0, miss, miss, 0], [0, 0, 0, 0]][fold]


def table_of(scores: dict[str, list[float]], baselines: tuple[str, ...] = ()) -> tuple[list[Contender], pd.DataFrame]:
    entrants = [
        Contender(f"recipe {name}", name, None if name in baselines else i, i if name in baselines else None)
        for i, name in enumerate(scores)
    ]
    results = {
        name: {str(seed): {"miou": miou, "seconds": 2.0, "peak_mb": 1.0} for seed, miou in enumerate(values)}
        for name, values in scores.items()
    }
    return entrants, rank(entrants, results, optuna.create_study(direction="maximize"))


SCORES = {"a": [0.50, 0.52, 0.54], "b": [0.51, 0.51, 0.52], "c": [0.30, 0.31, 0.32], "d": [0.20, 0.21, 0.22]}


def final(
    folder: Path, pool: Instant, folds: int = 0, limit: float | None = None, study: Any = None, **settings: Any
) -> tuple[FinalTraining, Exported]:
    entrants, table = table_of(SCORES, baselines=("c", "d"))
    training = FinalTraining(
        study or optuna.create_study(direction="maximize"),
        pool,  # type: ignore[arg-type]
        Settings(space="any.py", steps=STEPS, **settings),
        folds,
        entrants,
        table,
        lambda digest, seed: folder / f"{digest}-{seed}",
        lambda digest: folder / f"{digest}-final",
        {},
        Clock(limit, time.monotonic()),
    )
    return training, training.run()


def test_finalists_are_the_winner_the_ties_and_the_best_baseline() -> None:
    _, table = table_of(SCORES, baselines=("c", "d"))
    assert finalists(table) == ["a", "c", "b"] or finalists(table) == ["b", "a", "c"]


def test_the_best_after_the_longer_training_is_exported(tmp_path: Path) -> None:
    pool = Instant({"recipe a": {30: 0.55}, "recipe b": {30: 0.60}, "recipe c": {30: 0.58}})
    _, exported = final(tmp_path, pool)
    assert exported == Exported("b", tmp_path / "b-final", 30, 0.60)
    assert {task.steps for task in pool.tasks} == {30}
    # A seed that the ranking has not used.
    assert {task.seed for task in pool.tasks} == {3}


def test_the_network_of_the_search_is_exported_if_longer_training_does_not_help(tmp_path: Path) -> None:
    pool = Instant({f"recipe {name}": {30: 0.1} for name in "abc"})
    training, exported = final(tmp_path, pool)
    winner = training.table[training.table["winner"]].iloc[0]
    best = max(winner["values"], key=winner["values"].get)
    assert exported == Exported(winner["hash"], tmp_path / f"{winner['hash']}-{best}", STEPS, winner["miou"])


def test_final_steps_of_zero_train_nothing(tmp_path: Path) -> None:
    pool = Instant({})
    _, exported = final(tmp_path, pool, final_steps=0)
    assert not pool.tasks
    assert exported.steps == STEPS


def test_with_folds_the_winner_is_trained_on_all_labels_for_its_best_number_of_steps(tmp_path: Path) -> None:
    curve = {6: 0.5, 12: 0.55, 18: 0.65, 24: 0.64, 30: 0.60}
    pool = Instant({"recipe a": curve, "recipe b": {30: 0.6}, "recipe c": {30: 0.4}})
    _, exported = final(tmp_path, pool, folds=3)
    assert exported == Exported("a", tmp_path / "a-final", 18, 0.65)
    last = pool.tasks[-1]
    assert (last.steps, last.stop, last.folds) == (30, 18, 0)
    assert last.metrics == {"validation_miou": 0.65}
    assert all(task.folds == 3 and task.save is None for task in pool.tasks[:-1])


def test_nothing_is_trained_twice(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    curves = {"recipe a": {30: 0.7}, "recipe b": {30: 0.6}, "recipe c": {30: 0.4}}
    for folds in (0, 3):
        _, first = final(tmp_path, Instant(curves), folds=folds, study=study)
        again = Instant(curves)
        _, second = final(tmp_path, again, folds=folds, study=study)
        assert (first, again.tasks) == (second, [])
        (tmp_path / "a-final").unlink()
        repeated = Instant(curves)
        assert final(tmp_path, repeated, folds=folds, study=study)[1] == first
        assert [task.candidate for task in repeated.tasks] == ["recipe a"]
        study = optuna.create_study(direction="maximize")


def test_a_time_limit_shortens_or_drops_the_longer_training(tmp_path: Path) -> None:
    curves = {f"recipe {name}": {} for name in "abc"}
    # Trainings of 2 s for 10 steps: three of 30 steps take 9 s on two workers, a quarter more in the worst case.
    whole, short, long = Instant(curves), Instant(curves), Instant(curves)
    final(tmp_path, whole, limit=5 + 12.0, final_steps=30)
    assert {task.steps for task in whole.tasks} == {30}
    final(tmp_path, short, limit=5 + 8.0)
    assert {13 <= task.steps < 30 for task in short.tasks} == {True}
    # The remaining time is used, for up to ten times the steps of the search.
    final(tmp_path, long, limit=5 + 24.0)
    assert {30 < task.steps < 100 for task in long.tasks} == {True}
    endless = Instant(curves)
    final(tmp_path, endless, limit=1000.0)
    assert {task.steps for task in endless.tasks} == {100}
    none = Instant(curves)
    final(tmp_path, none, limit=5 + 2.0)
    assert not none.tasks


def test_naive_baselines_are_in_the_table_and_unbeaten_ones_are_reported() -> None:
    study = optuna.create_study(direction="maximize")
    _, table = table_of(SCORES, baselines=("c", "d"))
    table = with_final(table, study, Exported("a", Path("a"), 30, 0.55), STEPS)
    whole = with_naive_baselines(table, {"location map": {"validation": 0.4, "test": 0.3}}, 0.5)
    assert whole["name"].tolist().index("location map") == 2
    assert whole["winner"].sum() == 1
    assert not unbeaten_baselines(whole)
    beaten = with_naive_baselines(table, {"Otsu's threshold": {"validation": 0.4, "test": 0.55}}, 0.5)
    assert unbeaten_baselines(beaten) == ["Otsu's threshold has 0.550 on the test split, the network 0.500"]
    assert (
        len(unbeaten_baselines(with_naive_baselines(table, {"location map": {"validation": 0.6, "test": 0.1}}, 0.5)))
        == 1
    )


@pytest.mark.parametrize("scores", [{"a": [0.5]}, SCORES])
def test_the_table_survives_a_csv_file(tmp_path: Path, scores: dict[str, list[float]]) -> None:
    study = optuna.create_study(direction="maximize")
    _, table = table_of(scores)
    table = with_naive_baselines(
        with_final(table, study, Exported("a", Path("a"), 10, 0.5), STEPS),
        {"location map": {"validation": 0.4, "test": 0.3}},
        0.5,
    )
    table.drop(columns="values").to_csv(tmp_path / "ranking.csv")
    again = pd.read_csv(tmp_path / "ranking.csv", index_col="rank", dtype={"hash": str})
    assert again["winner"].dtype == bool
    assert again["name"].tolist() == table["name"].tolist()


def test_the_table_has_the_score_of_each_training_at_full_size() -> None:
    study = optuna.create_study(direction="maximize")
    at_full_size = {"a": {"size": "32x48", "steps": 30, "miou": 0.6}, "b": {"size": "32x48", "steps": 30, "miou": 0.5}}
    study.set_user_attr("trained at full size", at_full_size)
    _, table = table_of(SCORES)
    found = with_final(table, study, Exported("a", Path("a"), 30, 0.6), STEPS).set_index("hash")
    assert found["final_miou"].dropna().to_dict() == {"a": 0.6, "b": 0.5}
    assert found["final_steps"].dropna().to_dict() == {"a": 30, "b": 30}
