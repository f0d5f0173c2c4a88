"""Naive baselines in the final table: what a network has to beat to be worth anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

__all__ = ["unbeaten", "with_naive"]


def with_naive(table: pd.DataFrame, scores: Mapping[str, Mapping[str, float]], tested: float) -> pd.DataFrame:
    """The final table with a row for each naive baseline, and a column of test scores.

    Args:
        table: as `nas.controller.ranking.rank` gives it.
        scores: by name, the "validation" and the "test" mIoU of each naive baseline.
        tested: the test mIoU of the exported network.
    """
    table = table.assign(naive=False, test_miou=[tested if wins else math.nan for wins in table["winner"]])
    rows = [_row(table, name, found) for name, found in scores.items()]
    table = pd.concat([table, pd.DataFrame(rows)]) if rows else table
    table = table.sort_values("miou", ascending=False, na_position="last", kind="stable", ignore_index=True)
    table.index = pd.RangeIndex(1, len(table) + 1, name="rank")
    return table


def _row(table: pd.DataFrame, name: str, found: Mapping[str, float]) -> dict[str, Any]:
    """A row that says nothing but a name and two scores."""
    plain: dict[str, Any] = {str(column): math.nan for column in table}
    told = {"name": name, "hash": "", "miou": found["validation"], "test_miou": found["test"], "error": ""}
    flags = {"baseline": False, "tie": False, "winner": False, "naive": True, "seeds": 0, "values": {}}
    return {**plain, **told, **flags}


def unbeaten(table: pd.DataFrame) -> list[str]:
    """What the exported network does not beat, in words: the naive baselines with at least its score on a split."""
    if "naive" not in table or not table["naive"].any():
        return []
    winner = table[table["winner"]].iloc[0]
    ranked = winner["final_miou"] if not math.isnan(winner["final_miou"]) else winner["miou"]
    found = []
    for row in table[table["naive"]].to_dict("records"):
        if row["test_miou"] >= winner["test_miou"]:
            found.append(f"{row['name']} has {row['test_miou']:.3f} on the test split, it {winner['test_miou']:.3f}")
        elif row["miou"] >= ranked:
            found.append(f"{row['name']} has {row['miou']:.3f} on the images that rank, it {ranked:.3f}")
    return found
