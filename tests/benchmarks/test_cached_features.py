"""The benchmark of cached features: its recipes and its summary."""

from __future__ import annotations

import pytest

from benchmarks.cached_features import CANDIDATES, TREATMENTS, Setting, summary
from benchmarks.common.rows import Row


def test_only_one_treatment_caches_features() -> None:
    setting = Setting("mobilenetv2_100", "camvid", "1/8", "96x128", 345)
    for candidate in CANDIDATES:
        caching = [trained for trained in TREATMENTS if setting.recipe(candidate, trained).caches_features]
        assert caching == ["cached"]


def test_trainings_in_an_hour_by_hand() -> None:
    def row(trained: str, seconds: float, filling: float, miou: float) -> Row:
        times = {"seconds": seconds, "cpu_seconds": seconds / 2}
        filled = {"filling_seconds": filling, "filling_cpu_seconds": filling / 2}
        return {"trained": trained, **times, **filled, "validation_miou": miou, "test_miou": miou - 0.1}

    rows = [row("everything", 40, 0, 0.4), row("cached", 8, 4, 0.3), row("everything", 40, 0, 0.6)]
    table = summary([*rows, row("cached", 8, 0, 0.5)])
    assert table["everything"]["an_hour"] == 90 and table["everything"]["cpu_an_hour"] == 180
    assert table["cached"]["an_hour"] == 360 and table["cached"]["an_hour_ratio"] == 4
    assert table["cached"]["once_filled"] == 450 and table["cached"]["cpu_once_filled_ratio"] == 5
    assert table["cached"]["filling_s"] == 4
    assert table["everything"]["validation_miou"] == pytest.approx(0.5)
