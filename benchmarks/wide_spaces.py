"""Samplers in a space as wide and as conditional as those that are really searched: random functions of its parameters.

The tables of trained networks have at most nine parameters, each always there. `multitask.py` has some seventy, of
which a candidate reaches forty; here each function gives them effects, a few of which are large, and some pairs of
them effects of their own. The space's hand-made recipes are tried first, and are good, as they are in reality.

    python -m benchmarks.wide_spaces --seeds 20 --processes 2
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd

from benchmarks.common.arguments import at_least
from benchmarks.common.provenance import RESULTS, provenance
from benchmarks.common.rows import Row, append, known, measured
from benchmarks.sampling.searchers import sampler_as_shipped
from nas.controller.ranking import confidence_interval
from nas.errors import UserError
from nas.space import Recipe, close, load_space
from nas.space.choosers import draw, from_trial, genes_of
from nas.space.locate import locate

SPACE = "multitask.py"

PAIRS, PAIR = 0.08, 0.7
"""The share of pairs of labels that have an effect of their own, and its size beside a label's."""

NOISE = 0.15
"""Of a score, in standard deviations of the function."""

DRAWS = 400
"""Draws that a function is standardised by."""

MARKS = (10, 20, 40, 60, 100)

KEY = ("sampler", "seed", "evaluations")
COLUMNS = (
    *KEY,
    *(f"best_{mark}" for mark in MARKS),
    "seconds",
    "machine",
    "device",
    "versions",
    "date",
    "commit",
)

Genes = Mapping[str, Any]


@cache
def space() -> Recipe:
    """The space that is searched."""
    return load_space(SPACE)


@cache
def hand_made() -> tuple[Genes, ...]:
    """The genes of the space's baselines."""
    found = (locate(space(), baseline) for baseline in space().baselines)
    return tuple(genes for genes in found if genes is not None)


@cache
def drawn_genes() -> tuple[Genes, ...]:
    """Genes of random candidates."""
    rng = random.Random(0)
    return tuple(genes_of(space(), draw(rng))[1] for _ in range(DRAWS))


@cache
def bounds(path: str) -> tuple[float, float] | None:
    """The least and the largest value of a number among the draws; None of a parameter that takes labels."""
    values = [genes[path] for genes in drawn_genes() if path in genes]
    if any(isinstance(value, str | bool | None) for value in values):
        return None
    return min(values), max(values)


@cache
def numbers(seed: int, *what: Any) -> tuple[float, float, float, float]:
    """What is drawn for something that is named: a place from 0 to 1, a size, and two normal effects."""
    rng = np.random.default_rng([seed, zlib.crc32(repr(what).encode())])
    return rng.random(), abs(rng.standard_t(2)), rng.normal(), rng.normal()


class RandomFunction:
    """A score of genes, in standard deviations above the mean of random candidates.

    A label's effect is normal, a number's a parabola about a random optimum; both are times the size of their
    parameter, a Student's t of two degrees: most parameters hardly matter, a few do. A label that a hand-made recipe
    has is given the better of two effects.
    """

    def __init__(self, seed: int) -> None:
        self._seed, self._mean, self._deviation = seed, 0.0, 1.0
        drawn = np.array([self(genes) for genes in drawn_genes()])
        self._mean, self._deviation = drawn.mean(), drawn.std()

    def __call__(self, genes: Genes) -> float:
        alone = sum(self._effect(path, value) for path, value in genes.items())
        labels = sorted((path, value) for path, value in genes.items() if bounds(path) is None)
        together = sum(self._pair(*pair) for pair in itertools.combinations(labels, 2))
        return float((alone + PAIR * together - self._mean) / self._deviation)

    def _effect(self, path: str, value: Any) -> float:
        reach, (optimum, size, _, _) = bounds(path), numbers(self._seed, path)
        if reach is None:
            return size * self._of_label(path, value)
        low, high = reach
        return size * (1.2 - 4.0 * ((value - low) / ((high - low) or 1.0) - optimum) ** 2)

    def _of_label(self, path: str, label: Any) -> float:
        _, _, effect, other = numbers(self._seed, path, label)
        return max(effect, other) if any(genes.get(path) == label for genes in hand_made()) else effect

    def _pair(self, one: tuple[str, Any], other: tuple[str, Any]) -> float:
        place, size, _, _ = numbers(self._seed, one[0], other[0])
        return size * numbers(self._seed, one, other)[2] if place < PAIRS else 0.0


def measure(job: tuple[str, int, int]) -> Row:
    """One search: after so many evaluations, the function without its noise at the candidate that scored best."""
    name, seed, evaluations = job
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    function, rng = RandomFunction(seed), np.random.default_rng(seed)
    study = optuna.create_study(direction="maximize", sampler=sampler_as_shipped(name, seed))
    for genes in hand_made():
        study.enqueue_trial(dict(genes))
    scores, values, started = [], [], time.perf_counter()
    for _ in range(evaluations):
        trial = study.ask()
        close(space(), from_trial(trial))
        values.append(function(trial.params))
        scores.append(values[-1] + NOISE * rng.normal())
        study.tell(trial, scores[-1])
    seconds = (time.perf_counter() - started) / evaluations
    best = {f"best_{mark}": values[int(np.argmax(scores[:mark]))] for mark in MARKS if mark <= evaluations}
    return {"sampler": name, "seed": seed, "evaluations": evaluations, **best, "seconds": seconds}


def markdown(rows: pd.DataFrame) -> str:
    """Means and 95 % intervals over the functions."""
    marks = [mark for mark in MARKS if rows[f"best_{mark}"].notna().any()]
    lines = [
        f"# Random functions of the parameters of {SPACE}",
        "",
        "The best found, in standard deviations above a random candidate: mean over functions with its 95 % interval.",
        "",
        "| sampler | functions | " + " | ".join(f"after {mark}" for mark in marks) + " | seconds an evaluation |",
        "|---" * (len(marks) + 3) + "|",
    ]
    means = rows.groupby("sampler")[f"best_{marks[-1]}"].mean().sort_values(ascending=False)
    for sampler in means.index:
        own = rows[rows["sampler"] == sampler]
        found = [own[f"best_{mark}"] for mark in marks]
        cells = [f"{best.mean():.2f} ± {confidence_interval(best.tolist()):.2f}" for best in found]
        lines.append(f"| {sampler} | {len(own)} | {' | '.join(cells)} | {own['seconds'].mean():.3f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse, search what is missing, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sampler", nargs="+", default=["surrogate", "tpe", "local", "evolution", "random"])
    parser.add_argument("--seeds", type=at_least(1), default=20, help="functions, a search of each sampler on each")
    parser.add_argument("--evaluations", type=at_least(MARKS[0]), default=MARKS[-1])
    parser.add_argument("--processes", type=at_least(1), default=1, help="searches at once")
    parser.add_argument("--out", type=Path, default=RESULTS / "wide_spaces.csv", help="a CSV file; its .md beside it")
    options = parser.parse_args()
    try:
        for name in options.sampler:
            sampler_as_shipped(name, 0)
        there = known(options.out, COLUMNS, KEY)
        asked = itertools.product(options.sampler, range(options.seeds), [options.evaluations])
        about = provenance("optuna", "scipy", "numpy", "fewlabel-nas")
        for row in measured(measure, [job for job in asked if tuple(map(str, job)) not in there], options.processes):
            append(options.out, COLUMNS, row | about)
    except UserError as error:
        parser.error(str(error))
    rows = pd.read_csv(options.out)
    text = markdown(rows[rows["evaluations"] == options.evaluations])
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
