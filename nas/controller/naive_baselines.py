"""Naive baselines in the final table, which a useful network has to beat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

__all__ = ["unbeaten_baselines", "with_naive_baselines"]


def with_naive_baselines(
    table: pd.DataFrame, scores: Mapping[str, Mapping[str, float]], test_miou: float
) -> pd.DataFrame:
    """Add a row for each naive baseline and a column of test scores to the final table.

    Args:
        table: the table of `nas.controller.ranking.rank`.
        scores: "validation" and "test" mIoU of each naive baseline, by name.
        test_miou: test mIoU of the exported network.
    """
    table = table.assign(naive=False, test_miou=[test_miou if wins else math.nan for wins in table["winner"]])
    rows = [_row(table, name, by_split) for name, by_split in scores.items()]
    table = pd.concat([table, pd.DataFrame(rows)]) if rows else table
    table = table.sort_values("miou", ascending=False, na_position="last", kind="stable", ignore_index=True)
    table.index = pd.RangeIndex(1, len(table) + 1, name="rank")
    return table


def _row(table: pd.DataFrame, name: str, scores: Mapping[str, float]) -> dict[str, Any]:
    """A row with a name and two scores."""
    empty: dict[str, Any] = {str(column): math.nan for column in table}
    known = {"name": name, "hash": "", "miou": scores["validation"], "test_miou": scores["test"], "error": ""}
    flags = {"baseline": False, "tie": False, "winner": False, "naive": True, "seeds": 0, "values": {}}
    return {**empty, **known, **flags}


def unbeaten_baselines(table: pd.DataFrame) -> list[str]:
    """Describe the naive baselines that the exported network does not beat on the test or the validation split."""
    if "naive" not in table or not table["naive"].any():
        return []
    winner = table[table["winner"]].iloc[0]
    ranked = winner["final_miou"] if not math.isnan(winner["final_miou"]) else winner["miou"]
    found = []
    for row in table[table["naive"]].to_dict("records"):
        if row["test_miou"] >= winner["test_miou"]:
            found.append(
                f"{row['name']} has {row['test_miou']:.3f} on the test split, the network {winner['test_miou']:.3f}"
            )
        elif row["miou"] >= ranked:
            found.append(f"{row['name']} has {row['miou']:.3f} on the validation images, the network {ranked:.3f}")
    return found
