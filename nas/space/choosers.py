"""Functions `choose(path, domain)` that pick the value of an open field; `close` calls them."""

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

__all__ = ["crossover", "draw", "enumerate_candidates", "from_genes", "from_trial", "genes_of", "middle", "mutate"]

Genes = dict[str, Any]
"""The values that close a space: a label or a number for each path."""


def draw(rng: random.Random) -> Choose:
    """Choose at random: labels uniformly, numbers uniformly on their scale and grid."""

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


def middle(path: str, domain: Any) -> Any:
    """Choose the prior of a domain; without one, the first label, or the middle of a range on its scale and grid."""
    if domain.prior is not None:
        return domain.prior
    if isinstance(domain, Choice):
        return domain.labels[0]
    if domain.log:
        value = math.sqrt(domain.lo * domain.hi)
        return _clip(round(value) if isinstance(domain, Int) else value, domain)
    if isinstance(domain, Int) or domain.step:
        values = domain.values()
        return values[len(values) // 2]
    return (domain.lo + domain.hi) / 2


def from_genes(genes: Mapping[str, Any]) -> Choose:
    """Choose the values of a mapping from path to value.

    Raises:
        SpaceError: the path of an active parameter is missing.
    """

    def choose(path: str, domain: Any) -> Any:
        if path not in genes:
            raise SpaceError(f"{path} has no value")
        return genes[path]

    return choose


def from_trial(trial: optuna.Trial) -> Choose:
    """Let an Optuna trial suggest the values, with one `suggest_*` call per parameter."""

    def choose(path: str, domain: Any) -> Any:
        if isinstance(domain, Choice):
            return trial.suggest_categorical(path, domain.labels)
        if isinstance(domain, Int):
            return trial.suggest_int(path, domain.lo, domain.hi, log=domain.log, step=domain.step)
        return trial.suggest_float(path, domain.lo, domain.hi, log=domain.log, step=domain.step)

    return choose


def mutate(parent: Mapping[str, Any], rng: random.Random, changes: int = 1) -> Choose:
    """Copy the parent's genes, redraw `changes` of them, and draw genes that the parent lacks.

    Genes of parameters that are no longer active are dropped.
    """
    redrawn = set(rng.sample(sorted(parent), min(changes, len(parent))))
    at_random = draw(rng)

    def choose(path: str, domain: Any) -> Any:
        old = parent.get(path)
        if path not in parent or not domain.holds(old):
            return at_random(path, domain)
        return _redraw(old, path, domain, at_random) if path in redrawn else old

    return choose


def _redraw(old: Any, path: str, domain: Any, at_random: Choose) -> Any:
    """Draw a value that differs from the old one, if the domain has another."""
    for _ in range(20):
        value = at_random(path, domain)
        if value != old or type(value) is not type(old):
            return value
    return old


def crossover(one: Mapping[str, Any], other: Mapping[str, Any], rng: random.Random) -> Choose:
    """Take each gene from a random parent that has it, and draw the rest."""
    at_random = draw(rng)

    def choose(path: str, domain: Any) -> Any:
        first, second = (one, other) if rng.random() < 0.5 else (other, one)
        for parent in (first, second):
            if path in parent and domain.holds(parent[path]):
                return parent[path]
        return at_random(path, domain)

    return choose


def genes_of(space: Any, choose: Choose) -> tuple[Recipe, Genes]:
    """Close the space; return the candidate and the chosen values by path."""
    genes: Genes = {}

    def record(path: str, domain: Any) -> Any:
        genes[path] = choose(path, domain)
        return genes[path]

    return close(space, record), genes


def enumerate_candidates(space: Any) -> Iterator[Any]:
    """Yield every candidate of a space without continuous fields, in the order of its options.

    Raises:
        SpaceError: the space has a `Float` without a step.
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
    """Choose the options numbered in `prefix`, then first ones; append each number of options to `widths`."""

    def choose(path: str, domain: Any) -> Any:
        values = domain.labels if isinstance(domain, Choice) else domain.values()
        at = len(widths)
        widths.append(len(values))
        return values[prefix[at] if at < len(prefix) else 0]

    return choose
