"""Table of benchmarks.encoders: scores of encoders, and their paired differences with pooled intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from scipy.special import stdtrit

from benchmarks.common.rows import read_rows
from nas.controller.ranking import pooled_variance

__all__ = ["differences", "write_table"]

SPLITS = ("search_val", "test")
SETTING = ["labels", "size", "steps"]
RATE_SEED = 3
"""The first seed with which rates are chosen; smaller seeds are those of the tables."""

ABOUT = """\
# Pretrained encoders on CamVid

mIoU in %, mean over seeds, and differences over paired seeds with 95 % intervals: the variance is pooled over the
recipes of a setting, and the intervals hold for all differences of a setting together (Bonferroni). Seconds per step
are those of a machine that also did other work.
"""

SCORES = ["| recipe | seeds | search-val | test | s per step |", "|---|---|---|---|---|"]
DIFFERENCES = ["| difference | search-val | test |", "|---|---|---|"]
RATES = ["| labels | size | steps | recipe | rate | search-val |", "|---|---|---|---|---|---|"]

COMPARED = {
    "mobilenet": ("mobilenet-random", "unet"),
    "lite0": ("lite0-random", "unet"),
    "mobilenet-classmix": ("mobilenet",),
    "lite0-classmix": ("lite0",),
}
"""The recipes that each recipe is compared with."""


def differences(block: pd.DataFrame, split: str) -> dict[tuple[str, str], tuple[float, float]]:
    """Compute the mean difference in points and half its 95 % interval, for each comparison in a setting.

    The variance is pooled over all recipes, after the means of recipes and seeds. Intervals hold for all comparisons
    together (Bonferroni). NaN where there are fewer than two seeds.

    Args:
        block: rows of one setting, with the columns "recipe", "seed" and `split`.
        split: the column of scores.
    """
    scores = (100 * block.pivot(index="recipe", columns="seed", values=split)).dropna(axis="columns")
    pairs = [(one, other) for one, others in COMPARED.items() for other in others]
    pairs = [pair for pair in pairs if set(pair) <= set(scores.index)]
    recipes, seeds = scores.shape
    freedom = (recipes - 1) * (seeds - 1)
    interval = math.nan
    if freedom > 0 and pairs:
        variance = pooled_variance(
            [{str(seed): float(row[seed]) for seed in row.index} for _, row in scores.iterrows()]
        )
        interval = float(stdtrit(freedom, 1 - 0.025 / len(pairs))) * math.sqrt(2 * variance / seeds)
    means = scores.mean(axis="columns")
    return {pair: (means[pair[0]] - means[pair[1]], interval) for pair in pairs}


def write_table(path: Path, rates: Mapping[str, float]) -> str:
    """Write the Markdown table beside a CSV file, and return it.

    Args:
        rates: learning rate of each network's encoder from ImageNet. Rows with another rate are in the table of rates.

    Raises:
        UserError: the file does not hold a table.
    """
    rows = read_rows(path)
    wanted = [
        1.0 if recipe.endswith("-random") else rates.get(recipe.partition("-")[0], 1.0) for recipe in rows["recipe"]
    ]
    compared = rows[(rows["rate"] == wanted) & (rows["seed"] < RATE_SEED)]
    text = "\n".join([ABOUT, *_settings(compared), *_rates(rows[rows["seed"] >= RATE_SEED])])
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    return text


def _settings(rows: pd.DataFrame) -> list[str]:
    lines = []
    for (labels, size, steps), block in rows.groupby(SETTING):
        found = {split: differences(block, split) for split in SPLITS}
        lines += [f"## {labels} of the labels, {size}, {steps} steps", "", *SCORES]
        for recipe, cells in block.groupby("recipe"):
            scores = " | ".join(f"{100 * cells[split].mean():.1f}" for split in SPLITS)
            lines.append(f"| {recipe} | {len(cells)} | {scores} | {cells['step_s'].median():.2f} |")
        lines += ["", *DIFFERENCES]
        for one, other in found["test"]:
            gains = " | ".join(_gain(*found[split][one, other]) for split in SPLITS)
            lines.append(f"| {one} above {other} | {gains} |")
        lines.append("")
    return lines


def _gain(mean: float, half: float) -> str:
    return f"{mean:+.1f}" if math.isnan(half) else f"{mean:+.1f} ± {half:.1f}"


def _rates(rows: pd.DataFrame) -> list[str]:
    lines = ["## Learning rates of the encoder", "", "One seed, which is not one of those above.", "", *RATES]
    for keys, cells in rows.groupby([*SETTING, "recipe", "rate"]):
        lines.append(f"| {' | '.join(map(str, keys))} | {100 * cells['search_val'].mean():.1f} |")
    return [*lines, ""]
