"""The arithmetic of the final table against SciPy."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from scipy import stats

from nas.search.ranking import Contender, confidence_interval, kendall_tau, rank


@pytest.mark.parametrize("n", [2, 3, 5, 11, 14, 40])
def test_interval_is_students(n: int) -> None:
    values = np.random.default_rng(n).normal(0.3, 0.05, n)
    expected = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n)
    assert confidence_interval(values.tolist()) == pytest.approx(expected, rel=0.01)


def test_interval_of_one_value_is_unknown() -> None:
    assert math.isnan(confidence_interval([0.3]))


@pytest.mark.parametrize("seed", range(5))
def test_kendall_tau_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 6, 15).tolist(), rng.integers(0, 6, 15).tolist()
    assert kendall_tau(one, other) == pytest.approx(stats.kendalltau(one, other).statistic)


def test_table_is_ordered_and_names_ties() -> None:
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
        # Below b by the same 0.01 on each seed: surely worse, though the seeds differ by far more.
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
