"""Choosers: the ways to answer an open field. Each is a `choose(path, domain)` for `close`."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nas.space.component import SpaceError
from nas.space.domains import Choice, Float, Int
from nas.space.recipe import Recipe
from nas.space.walk import Choose, close

if TYPE_CHECKING:
    import optuna

__all__ = ["crossover", "draw", "enumerate_candidates", "from_genes", "from_trial", "genes_of", "mutate"]

Genes = dict[str, Any]
"""The answers that close a space: a label or a number by path."""


def draw(rng: random.Random) -> Choose:
    """Answers at random: labels evenly, numbers evenly on their scale and grid."""

    def choose(path: str, domain: Any) -> Any:
        if isinstance(domain, Choice):
            return rng.choice(domain.labels)
        if isinstance(domain, Int) and not domain.log:
            return rng.choice(domain.values())
        if domain.log:
            value = math.exp(rng.uniform(math.log(domain.lo), math.log(domain.hi)))
            return _clip(round(value) if isinstance(domain, Int) else value, domain)
        if domain.step:
            return rng.choice(domain.values())
        return rng.uniform(domain.lo, domain.hi)

    return choose


def _clip(value: float, domain: Int | Float) -> float:
    return min(max(value, domain.lo), domain.hi)


def from_genes(genes: Mapping[str, Any]) -> Choose:
    """Answers from a mapping of path to value.

    Raises:
        SpaceError: when a path that is reached is missing.
    """

    def choose(path: str, domain: Any) -> Any:
        if path not in genes:
            raise SpaceError(f"{path} has no value")
        return genes[path]

    return choose


def from_trial(trial: optuna.Trial) -> Choose:
    """Answers from an Optuna trial, one `suggest_*` a parameter."""

    def choose(path: str, domain: Any) -> Any:
        if isinstance(domain, Choice):
            return trial.suggest_categorical(path, domain.labels)
        if isinstance(domain, Int):
            return trial.suggest_int(path, domain.lo, domain.hi, log=domain.log, step=domain.step)
        return trial.suggest_float(path, domain.lo, domain.hi, log=domain.log, step=domain.step)

    return choose


def mutate(parent: Mapping[str, Any], rng: random.Random, changes: int = 1) -> Choose:
    """Keeps the parent's genes but `changes` of them, redraws those, and draws what the parent lacks.

    Genes that are no longer reached are dropped, since nothing asks for them.
    """
    redrawn = set(rng.sample(sorted(parent), min(changes, len(parent))))
    fresh = draw(rng)

    def choose(path: str, domain: Any) -> Any:
        old = parent.get(path)
        if path not in parent or not domain.holds(old):
            return fresh(path, domain)
        return _other(old, path, domain, fresh) if path in redrawn else old

    return choose


def _other(old: Any, path: str, domain: Any, fresh: Choose) -> Any:
    """A fresh answer that differs from the old one, where the domain has another."""
    for _ in range(20):
        value = fresh(path, domain)
        if value != old or type(value) is not type(old):
            return value
    return old


def crossover(one: Mapping[str, Any], other: Mapping[str, Any], rng: random.Random) -> Choose:
    """Takes each gene from either parent, from whichever has it when only one does, and draws the rest."""
    fresh = draw(rng)

    def choose(path: str, domain: Any) -> Any:
        first, second = (one, other) if rng.random() < 0.5 else (other, one)
        for parent in (first, second):
            if path in parent and domain.holds(parent[path]):
                return parent[path]
        return fresh(path, domain)

    return choose


def genes_of(space: Any, choose: Choose) -> tuple[Recipe, Genes]:
    """Close the space and also return the answers given, by path."""
    genes: Genes = {}

    def record(path: str, domain: Any) -> Any:
        genes[path] = choose(path, domain)
        return genes[path]

    return close(space, record), genes


def enumerate_candidates(space: Any) -> Iterator[Any]:
    """Every closing of a space without continuous fields, in the order of its options.

    Raises:
        SpaceError: when the space has a real-valued field without a step.
    """
    prefix: list[int] = []
    while True:
        widths: list[int] = []
        yield close(space, _counting(prefix, widths))
        prefix = prefix + [0] * (len(widths) - len(prefix))
        while prefix and prefix[-1] + 1 >= widths[len(prefix) - 1]:
            prefix.pop()
        if not prefix:
            return
        prefix[-1] += 1


def _counting(prefix: list[int], widths: list[int]) -> Callable[[str, Any], Any]:
    """Answers with the option numbers in `prefix`, then the first, noting how many options each field had."""

    def choose(path: str, domain: Any) -> Any:
        values = domain.labels if isinstance(domain, Choice) else domain.values()
        at = len(widths)
        widths.append(len(values))
        return values[prefix[at] if at < len(prefix) else 0]

    return choose
