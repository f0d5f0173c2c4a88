"""Statistics of the final table against SciPy, repeats over seeds, and limits on their time."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from scipy import stats

from nas import record
from nas.controller.contenders import Contender, affordable
from nas.controller.progress import Progress
from nas.controller.ranking import confidence_interval, pooled_variance, rank, winner
from nas.controller.repeats import Repeats
from nas.pool import Done, Job, Lost, Message
from nas.runs.settings import Settings


@pytest.mark.parametrize("n", [2, 3, 5, 11, 14, 40])
def test_interval_is_students(n: int) -> None:
    values = np.random.default_rng(n).normal(0.3, 0.05, n)
    expected = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n)
    assert confidence_interval(values.tolist()) == pytest.approx(expected)


def test_the_interval_of_one_value_is_nan() -> None:
    assert math.isnan(confidence_interval([0.3]))


def test_the_table_is_sorted_and_marks_ties() -> None:
    study = optuna.create_study(direction="maximize")
    entrants = [Contender("{}", name, None, i) for i, name in enumerate("abcd")]
    results = {
        "a": {
            "0": {"miou": 0.30, "seconds": 1.0, "peak_mb": 10.0},
            "1": {"miou": 0.40, "seconds": 3.0, "peak_mb": 20.0},
        },
        "b": {
            "0": {"miou": 0.45, "seconds": 1.0, "peak_mb": 10.0},
            "1": {"miou": 0.55, "seconds": 1.0, "peak_mb": 10.0},
        },
        # 0.01 below b on each seed: surely worse, although the seeds differ by far more.
        "c": {
            "0": {"miou": 0.44, "seconds": 1.0, "peak_mb": 10.0},
            "1": {"miou": 0.54, "seconds": 1.0, "peak_mb": 10.0},
        },
        "d": {"0": {"error": "out of memory"}},
    }
    table = rank(entrants, results, study)
    assert table["hash"].tolist() == ["b", "c", "a", "d"]
    assert table.index.tolist() == [1, 2, 3, 4]
    assert table["tie"].tolist()[:3] == [False, False, False]
    assert table["miou"].iloc[2] == pytest.approx(0.35)
    assert table["seconds"].iloc[2] == 2.0
    assert table["peak_mb"].iloc[2] == 20.0
    assert table["error"].iloc[3] == "out of memory"
    results["c"]["1"]["miou"] = 0.56
    assert rank(entrants, results, study)["tie"].tolist()[:2] == [False, True]


def test_pooled_variance_is_the_residual_of_a_two_way_layout() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0.3, 0.02, (4, 3)) + rng.normal(0, 0.1, (4, 1)) + rng.normal(0, 0.1, (1, 3))
    residual = scores - scores.mean(0) - scores.mean(1, keepdims=True) + scores.mean()
    expected = (residual**2).sum() / (3 * 2)
    named = [dict(zip("abc", row, strict=True)) for row in scores.tolist()]
    assert pooled_variance(named) == pytest.approx(expected)
    # A contender with one seed adds no information.
    assert pooled_variance([*named, {"b": 0.9}, {}]) == pytest.approx(expected)
    assert math.isnan(pooled_variance([{"0": 0.3}, {"0": 0.4}]))


def test_a_wide_gap_is_no_tie_even_with_few_seeds() -> None:
    study = optuna.create_study(direction="maximize")
    done = {"seconds": 1.0, "peak_mb": 10.0}
    for finals in (
        {"a": (0.348, 0.362, 0.334), "b": (0.256, 0.301, 0.211), "c": (0.341, 0.344, 0.350)},
        {"a": (0.36, 0.33), "b": (0.25, 0.26)},
    ):
        results = {n: {str(s): {"miou": v, **done} for s, v in enumerate(values)} for n, values in finals.items()}
        table = rank([Contender("{}", name, None, i) for i, name in enumerate(finals)], results, study)
        assert dict(zip(table["hash"], table["tie"], strict=True)) == {name: name == "c" for name in finals}


class LosingPool:
    """An instant pool that loses every job of seed 1."""

    slots = 1

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.seeds: list[int] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        self.seeds.append(job.payload.seed)

    def messages(self, timeout: float) -> list[Message]:
        jobs, self.jobs = self.jobs, []
        result = {"miou": 0.5, "seconds": 1.0, "peak_mb": 1.0, "latency_ms": None}
        for job in jobs:
            if job.payload.seed != 1:
                Path(job.payload.save).touch()
        return [Lost(job, "killed") if job.payload.seed == 1 else Done(job, result) for job in jobs]


def test_only_lost_trainings_are_repeated(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    settings = Settings(space="any.py", steps=9, repeats=3)
    entrants = [Contender("{}", "a", None, 0)]

    def checkpoint(digest: str, seed: int) -> Path:
        return tmp_path / f"{digest}-{seed}"

    def session() -> tuple[list[int], dict[str, bool]]:
        pool = LosingPool()
        results = Repeats(study, pool, settings, checkpoint, {}, Progress(0, "Ranking")).run(entrants)  # type: ignore[arg-type]
        return pool.seeds, {seed: "miou" in result for seed, result in results["a"].items()}

    assert session() == ([0, 1, 2], {"0": True, "1": False, "2": True})
    assert session() == ([1], {"0": True, "1": False, "2": True})
    # A score without weights cannot be exported.
    checkpoint("a", 2).unlink()
    assert session() == ([1, 2], {"0": True, "1": False, "2": True})


def test_one_seed_shows_neither_a_tie_nor_a_difference() -> None:
    study = optuna.create_study(direction="maximize")
    done = {"seconds": 1.0, "peak_mb": 10.0}
    results = {"a": {"0": {"miou": 0.4, **done}}, "b": {"0": {"miou": 0.3, **done}}}
    table = rank([Contender("{}", name, None, i) for i, name in enumerate("ab")], results, study)
    assert table["tie"].tolist() == [False, False]


def final(*contenders: tuple[float | None, list[float]]) -> pd.DataFrame:
    """A table of parameters and scores by seed, the tie with the first as given by a paired t-test."""
    values = [dict(enumerate(scores)) for _, scores in contenders]
    means = [float(np.mean(scores)) if scores else math.nan for _, scores in contenders]
    first = contenders[0][1]
    ties = [
        i > 0 and len(scores) > 1 and stats.ttest_rel(first[: len(scores)], scores).pvalue >= 0.05
        for i, (_, scores) in enumerate(contenders)
    ]
    params = [params for params, _ in contenders]
    return pd.DataFrame({"values": values, "miou": means, "tie": ties, "params": params})


def test_the_smallest_within_a_standard_error_wins() -> None:
    first, close, far = [0.40, 0.42, 0.44], [0.42, 0.40, 0.43], [0.37, 0.41, 0.39]
    # Pooled: variances .0004, .00023 and .0004 give .00034; over 3 seeds an error of .011: the third is .03 behind.
    assert winner(final((9e5, first), (4e5, close), (1e5, far))) == 1
    assert winner(final((3e5, first), (4e5, close), (1e5, far))) == 0
    assert winner(final((4e5, first), (4e5, close))) == 0  # of the same size: the first
    assert winner(final((4e5, first), (None, close))) == 0  # of unknown size
    wide = [0.30, 0.43, 0.51]  # its spread makes the error .032
    assert winner(final((9e5, first), (4e5, close), (1e5, far), (2e5, wide))) == 2


def test_a_network_that_is_surely_worse_does_not_win_by_its_size() -> None:
    first = [0.30, 0.40, 0.50]
    assert winner(final((9e5, first), (1e5, [score - 0.01 - 0.0001 * i for i, score in enumerate(first)]))) == 0


def test_without_seeds_to_compare_the_first_wins() -> None:
    assert winner(final((9e5, [0.4]), (1e5, [0.4]))) == 0
    assert winner(final((9e5, []), (1e5, []))) == 0


def test_a_limited_time_reduces_seeds_then_contenders() -> None:
    study = optuna.create_study(direction="maximize")
    for digest, miou in (("a", 0.3), ("b", 0.5), ("c", 0.4)):
        trial = study.ask()
        record.write(trial, candidate="{}", hash=digest)
        record.end(study, trial, "complete", miou, seconds=10.0)
    entrants = [Contender("{}", name, i, None) for i, name in enumerate("abc")]
    untrained = [*entrants, Contender("{}", "d", None, 0)]

    def found(some: list[Contender], seconds: float, repeats: int = 3) -> tuple[str, int]:
        chosen, seeds = affordable(study, some, repeats, seconds, slots=1)
        return "".join(c.digest for c in chosen), seeds

    assert found(untrained, math.inf) == ("abcd", 3)
    assert found(entrants, 60.0) == ("bca", 3)  # two more seeds for three trainings of 10 s
    assert found(entrants, 59.0) == ("bca", 2)
    assert found(entrants, 29.0) == ("bc", 2)  # the best two of the search
    assert found(entrants, 19.0) == ("bca", 1)  # no ranking over seeds at all
    # A contender that the search has not trained needs both seeds.
    assert found(untrained, 50.0) == ("bcad", 2)
    assert found(untrained, 49.0) == ("bca", 2)
    assert found(entrants, 5.0, repeats=1) == ("bca", 1)
