"""The final ranking: the table of the contenders, with intervals, ties and the winner."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import optuna
import pandas as pd
from scipy.special import stdtrit

from nas.controller.contenders import Contender
from nas.controller.repeats import Results
from nas.record import TrialRecord, by_hash

__all__ = ["confidence_interval", "pooled_variance", "rank", "winner"]

TIE = 2.0
"""Standard errors of a difference within which two contenders tie. With the few degrees of freedom of a ranking,
Student's quantile is too wide, 12.7 for two contenders on two seeds: everything would tie."""


def confidence_interval(values: list[float]) -> float:
    """Half the 95 % interval of the mean (Student's t); NaN for fewer than two values."""
    n = len(values)
    if n < 2:
        return math.nan
    return float(stdtrit(n - 1, 0.975)) * statistics.stdev(values) / math.sqrt(n)


def rank(entrants: list[Contender], results: Results, study: optuna.Study) -> pd.DataFrame:
    """The table, best first: mean validation mIoU, its interval, ties with the first, costs, and the winner.

    A contender ties with the first when their mean difference, over the seeds that both have, is within two standard
    errors. The variance is pooled over all contenders (`pooled_variance`), since two or three differences of a pair
    say little about their own spread. With several objectives the first contender wins, else see `winner`.
    """
    known = by_hash(study)
    rows = [_row(contender, results[contender.digest], known.get(contender.digest)) for contender in entrants]
    table = pd.DataFrame(rows).sort_values("miou", ascending=False, na_position="last", ignore_index=True)
    first, noise = table["values"].iloc[0], pooled_variance(list(table["values"]))
    table.insert(4, "tie", [i > 0 and _ties(first, values, noise) for i, values in enumerate(table["values"])])
    place = winner(table) if len(study.directions) == 1 else 0
    table.insert(5, "winner", [i == place for i in range(len(table))])
    table.index = pd.RangeIndex(1, len(table) + 1, name="rank")
    return table


def _row(contender: Contender, results: dict[str, dict[str, Any]], record: TrialRecord | None) -> dict[str, Any]:
    """A row of the table, from the results by seed and the trial of the search."""
    done = {seed: result for seed, result in results.items() if "miou" in result}
    values = {seed: result["miou"] for seed, result in done.items()}
    errors = [result["error"] for result in results.values() if "error" in result]
    latencies = [result["latency_ms"] for result in done.values() if result.get("latency_ms") is not None]
    return {
        "name": contender.name,
        "hash": contender.digest,
        "baseline": contender.baseline is not None,
        "miou": statistics.fmean(values.values()) if values else math.nan,
        "interval": confidence_interval(list(values.values())),
        "seeds": len(values),
        "search_miou": record.score if record else math.nan,
        "params": record.params if record else None,
        "macs": record.macs if record else None,
        "seconds": statistics.fmean(result["seconds"] for result in done.values()) if done else math.nan,
        "peak_mb": max((result["peak_mb"] for result in done.values()), default=math.nan),
        "latency_ms": statistics.median(latencies) if latencies else math.nan,
        "values": values,
        "error": errors[0] if errors else "",
    }


def winner(table: pd.DataFrame) -> int:
    """Choose the smallest network that ties with the first and is within a standard error of it; return its row number.

    This is the one-standard-error rule (Breiman et al. 1984, section 3.4.3): where the seeds show no difference, the
    smaller network is preferred. The standard error of a mean is pooled over all contenders, since a few seeds say
    little about it. With fewer than two seeds the first wins.
    """
    seeds = [list(values.values()) for values in table["values"]]
    if len(seeds[0]) < 2:
        return 0
    compared = [values for values in seeds if len(values) > 1]
    squares = sum((len(values) - 1) * statistics.variance(values) for values in compared)
    error = math.sqrt(squares / sum(len(values) - 1 for values in compared) / len(seeds[0]))
    close = table["tie"] & (table["miou"] >= table["miou"].iloc[0] - error)
    sizes = table["params"].astype(float).where(close | (table.index == table.index[0])).fillna(math.inf)
    return int(np.argmin(sizes))


def _ties(first: dict[str, float], other: dict[str, float], noise: float) -> bool:
    differences = [first[seed] - other[seed] for seed in first if seed in other]
    # With fewer than two common seeds, no tie is claimed.
    if len(differences) < 2:
        return False
    return abs(statistics.fmean(differences)) <= TIE * math.sqrt(2 * noise / len(differences))


def pooled_variance(scores: list[dict[str, float]]) -> float:
    """Residual variance of the scores in a two-way layout, contender and seed, without interaction.

    The layout is fitted by least squares, so that seeds may be missing. NaN where no degree of freedom is left.

    Args:
        scores: of each contender, by seed.
    """
    seeds = sorted({seed for values in scores for seed in values})
    cells = [(i, seeds.index(seed), value) for i, values in enumerate(scores) for seed, value in values.items()]
    layout = np.zeros((len(cells), len(scores) + len(seeds)))
    for row, (contender, seed, _) in enumerate(cells):
        layout[row, [contender, len(scores) + seed]] = 1.0
    observed = np.array([value for *_, value in cells])
    freedom = len(cells) - (np.linalg.matrix_rank(layout) if cells else 0)
    if not freedom:
        return math.nan
    fit = np.linalg.lstsq(layout, observed, rcond=None)[0]
    return float(np.sum((observed - layout @ fit) ** 2) / freedom)
