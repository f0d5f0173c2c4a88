"""How good are samplers in a wide conditional space? Searches of random functions of the parameters of `multitask.py`.

The tables of trained networks have at most nine parameters, none of them conditional. `multitask.py` has some seventy,
about forty of which are active in a candidate. The functions have a few large main effects, many small ones and some
interactions. The hand-made recipes of the space are tried first and are good, as in reality.

    python -m benchmarks.wide_spaces --seeds 20 --processes 2
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd

from benchmarks.common.arguments import at_least
from benchmarks.common.provenance import RESULTS, provenance
from benchmarks.common.rows import Row, append_row, recorded_keys, run_jobs
from benchmarks.sampling.searchers import benchmark_sampler
from nas.controller.ranking import confidence_interval
from nas.errors import UserError
from nas.space import Recipe, close, load_space
from nas.space.choosers import draw, from_trial, genes_of
from nas.space.locate import locate

SPACE = "multitask.py"

INTERACTION_SHARE, INTERACTION_SIZE = 0.08, 0.7
"""Share of pairs of categorical parameters that interact, and the size of an interaction relative to a main effect."""

NOISE = 0.15
"""Standard deviation of the noise of a score, in standard deviations of the function."""

SAMPLES = 400
"""Number of random candidates that a function is standardized by."""

MARKS = (10, 20, 40, 60, 100)
"""Numbers of evaluations after which the best score is recorded."""

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
    """Load the search space."""
    return load_space(SPACE)


@cache
def hand_made() -> tuple[Genes, ...]:
    """Return the genes of the space's baselines."""
    found = (locate(space(), baseline) for baseline in space().baselines)
    return tuple(genes for genes in found if genes is not None)


@cache
def random_genes() -> tuple[Genes, ...]:
    """Return the genes of random candidates."""
    rng = random.Random(0)
    return tuple(genes_of(space(), draw(rng))[1] for _ in range(SAMPLES))


@cache
def bounds(path: str) -> tuple[float, float] | None:
    """Return the range of a numeric parameter among the random candidates; None if it is categorical."""
    values = [genes[path] for genes in random_genes() if path in genes]
    if any(isinstance(value, str | bool | None) for value in values):
        return None
    return min(values), max(values)


@cache
def random_numbers(seed: int, *what: Any) -> tuple[float, float, float, float]:
    """Return a uniform number, a size and two normal effects that depend only on the seed and the arguments."""
    rng = np.random.default_rng([seed, zlib.crc32(repr(what).encode())])
    return rng.random(), abs(rng.standard_t(2)), rng.normal(), rng.normal()


class RandomFunction:
    """Random score of genes, in standard deviations above the mean of random candidates.

    The effect of a choice is normal, that of a number a parabola around a random optimum. Both are multiplied by the
    size of the parameter, from Student's t distribution with two degrees of freedom, so a few parameters matter most.
    The options of the hand-made recipe get the better of two sampled effects.
    """

    def __init__(self, seed: int) -> None:
        self._seed, self._mean, self._deviation = seed, 0.0, 1.0
        scores = np.array([self(genes) for genes in random_genes()])
        self._mean, self._deviation = scores.mean(), scores.std()

    def __call__(self, genes: Genes) -> float:
        main_effects = sum(self._effect(path, value) for path, value in genes.items())
        choices = sorted((path, value) for path, value in genes.items() if bounds(path) is None)
        interactions = sum(self._interaction(*pair) for pair in itertools.combinations(choices, 2))
        return float((main_effects + INTERACTION_SIZE * interactions - self._mean) / self._deviation)

    def _effect(self, path: str, value: Any) -> float:
        limits, (optimum, size, _, _) = bounds(path), random_numbers(self._seed, path)
        if limits is None:
            return size * self._effect_of_choice(path, value)
        low, high = limits
        return size * (1.2 - 4.0 * ((value - low) / ((high - low) or 1.0) - optimum) ** 2)

    def _effect_of_choice(self, path: str, choice: Any) -> float:
        _, _, effect, other = random_numbers(self._seed, path, choice)
        return max(effect, other) if any(genes.get(path) == choice for genes in hand_made()) else effect

    def _interaction(self, one: tuple[str, Any], other: tuple[str, Any]) -> float:
        uniform, size, _, _ = random_numbers(self._seed, one[0], other[0])
        return size * random_numbers(self._seed, one, other)[2] if uniform < INTERACTION_SHARE else 0.0


def measure(job: tuple[str, int, int]) -> Row:
    """Search a function; return its noise-free value at the best-scored candidate after each number of evaluations."""
    name, seed, evaluations = job
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    function, rng = RandomFunction(seed), np.random.default_rng(seed)
    study = optuna.create_study(direction="maximize", sampler=benchmark_sampler(name, seed))
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
    """Format means over functions with their 95 % intervals."""
    marks = [mark for mark in MARKS if rows[f"best_{mark}"].notna().any()]
    lines = [
        f"# Random functions of the parameters of {SPACE}",
        "",
        "Noise-free value of the candidate with the best score, in standard deviations above a random candidate: mean "
        "over functions with its 95 % interval.",
        "",
        "| sampler | functions | " + " | ".join(f"after {mark}" for mark in marks) + " | seconds per evaluation |",
        "|---" * (len(marks) + 3) + "|",
    ]
    means = rows.groupby("sampler")[f"best_{marks[-1]}"].mean().sort_values(ascending=False)
    for sampler in means.index:
        own = rows[rows["sampler"] == sampler]
        found = [own[f"best_{mark}"] for mark in marks]
        cells = [f"{best.mean():.2f} ± {confidence_interval(best.tolist()):.2f}" for best in found]
        lines.append(f"| {sampler} | {len(own)} | {' | '.join(cells)} | {own['seconds'].mean():.3f} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["surrogate", "tpe", "local", "evolution", "random"]
    parser.add_argument(
        "--sampler", nargs="+", default=names, metavar="NAME", help=f"as in nas-search  [{' '.join(names)}]"
    )
    parser.add_argument("--seeds", type=at_least(1), default=20, help="number of functions  [20]")
    parser.add_argument("--evaluations", type=at_least(MARKS[0]), default=MARKS[-1], help=f"per search  [{MARKS[-1]}]")
    parser.add_argument("--processes", type=at_least(1), default=1, help="number of parallel searches")
    parser.add_argument("--out", type=Path, default=RESULTS / "wide_spaces.csv", help="CSV file, with .md beside it")
    options = parser.parse_args(arguments)
    try:
        for name in options.sampler:
            benchmark_sampler(name, 0)
        recorded = recorded_keys(options.out, COLUMNS, KEY)
        requested = itertools.product(options.sampler, range(options.seeds), [options.evaluations])
        about = provenance("optuna", "scipy", "numpy", "fewlabel-nas")
        missing = [job for job in requested if tuple(map(str, job)) not in recorded]
        for row in run_jobs(measure, missing, options.processes):
            append_row(options.out, COLUMNS, row | about)
    except UserError as error:
        parser.error(str(error))
    rows = pd.read_csv(options.out)
    text = markdown(rows[rows["evaluations"] == options.evaluations])
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
