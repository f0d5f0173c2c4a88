"""Walks over a space: close it with a chooser, list its parameters, check it, count its candidates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

from nas.space.component import Component, SpaceError, field_values
from nas.space.domains import Choice, Domain, Float, Int, Mix, Repeat, join

__all__ = ["Choose", "Parameter", "Size", "check", "close", "components", "is_open", "parameters", "priors", "size"]

Choose = Callable[[str, Any], Any]
"""choose(path, domain) -> a label for a Choice, a number for an Int or a Float."""

ON_OFF = Choice(False, True)


def close(node: Any, choose: Choose, path: str = "") -> Any:
    """Return the tree with every open field set to the value that `choose` returns.

    Raises:
        SpaceError: a value is outside its domain, or a domain is unusable. The message names the path.
    """
    if isinstance(node, Domain):
        return _close_domain(node, choose, path)
    if isinstance(node, tuple | list):
        return tuple(close(item, choose, join(path, i)) for i, item in enumerate(node))
    if is_dataclass(node) and not isinstance(node, type):
        values = {name: close(value, choose, join(path, name)) for name, value in field_values(node)}
        return replace(node, **values)
    return node


def _close_domain(domain: Domain, choose: Choose, path: str) -> Any:
    _check_domain(domain, path)
    if isinstance(domain, Choice):
        label = choose(path, domain)
        try:
            option = domain.option(label)
        except SpaceError as error:
            raise SpaceError(f"{path}: {error}") from None
        return close(option, choose, join(path, label))
    if isinstance(domain, Repeat):
        times = close(domain.times, choose, join(path, "times"))
        return tuple(close(domain.template, choose, join(path, i)) for i in range(times))
    if isinstance(domain, Mix):
        return _close_mix(domain, choose, path)
    value = choose(path, domain)
    assert isinstance(domain, Int | Float)
    if not domain.holds(value):
        raise SpaceError(f"{path}: {value!r} is not in {domain}")
    return int(value) if isinstance(domain, Int) else float(value)


def _close_mix(mix: Mix, choose: Choose, path: str) -> tuple[Any, ...]:
    chosen = []
    for label, part in zip(mix.labels, mix.parts, strict=True):
        at = join(path, label)
        if choose(at, ON_OFF):
            chosen.append(close(mix.weighted(part), choose, at))
    return tuple(chosen)


def is_open(node: Any) -> bool:
    """Whether any field of the tree holds a domain."""
    if isinstance(node, Domain):
        return True
    if isinstance(node, tuple | list):
        return any(map(is_open, node))
    return any(is_open(value) for _, value in field_values(node))


def components(node: Any) -> Iterator[Component]:
    """Every component of a tree, open or closed, options that are not chosen included."""
    if isinstance(node, Component):
        yield node
    if isinstance(node, Choice):
        inside: Iterable[Any] = node.options
    elif isinstance(node, Repeat):
        inside = (node.template,)
    elif isinstance(node, Mix):
        inside = node.parts
    elif isinstance(node, tuple | list):
        inside = node
    else:
        inside = [value for _, value in field_values(node)]
    for item in inside:
        yield from components(item)


@dataclass(frozen=True)
class Parameter:
    """An open field: its path, its domain, and the conditions under which it is active."""

    path: str
    domain: Choice | Int | Float
    conditions: tuple[str, ...] = ()


def parameters(node: Any, path: str = "", conditions: tuple[str, ...] = ()) -> Iterator[Parameter]:
    """Yield every parameter that is active in some candidate, in the order of the walk.

    Raises:
        SpaceError: a domain is unusable. The message names its path.
    """
    if isinstance(node, Domain):
        _check_domain(node, path)
    if isinstance(node, Choice):
        yield Parameter(path, node, conditions)
        for label, option in zip(node.labels, node.options, strict=True):
            yield from parameters(option, join(path, label), (*conditions, f"{path} is {label}"))
    elif isinstance(node, Int | Float):
        yield Parameter(path, node, conditions)
    elif isinstance(node, Repeat):
        yield from parameters(node.times, join(path, "times"), conditions)
        fewest = node.times.lo if isinstance(node.times, Int) else node.times
        for i in range(node.most):
            reached = (f"{join(path, 'times')} > {i}",) if i >= fewest else ()
            yield from parameters(node.template, join(path, i), conditions + reached)
    elif isinstance(node, Mix):
        for label, part in zip(node.labels, node.parts, strict=True):
            at = join(path, label)
            yield Parameter(at, ON_OFF, conditions)
            yield from parameters(node.weighted(part), at, (*conditions, f"{at} is on"))
    elif isinstance(node, tuple | list):
        for i, item in enumerate(node):
            yield from parameters(item, join(path, i), conditions)
    else:
        for name, value in field_values(node):
            yield from parameters(value, join(path, name), conditions)


def _check_domain(domain: Domain, path: str) -> None:
    problem = domain.problem()
    if problem:
        raise SpaceError(f"{path or 'the space'} {problem}")


def check(node: Any) -> list[Parameter]:
    """List the parameters of a space, checking that it is usable.

    Raises:
        SpaceError: a domain is unusable, or two parameters have the same path. The message names the path.
    """
    found: dict[str, Parameter] = {}
    for parameter in parameters(node):
        if parameter.path in found:
            raise SpaceError(f"{parameter.path} is the path of two parameters: rename one of the fields or options")
        found[parameter.path] = parameter
    return list(found.values())


def priors(node: Any) -> dict[str, Any]:
    """The priors of all parameters that have one: labels or numbers by path."""
    return {p.path: p.domain.prior for p in parameters(node) if p.domain.prior is not None}


@dataclass(frozen=True)
class Size:
    """The size of a space: its number of discrete candidates, and whether it has continuous parameters as well."""

    discrete: int
    continuous: bool

    def __str__(self) -> str:
        n = self.discrete
        count = f"{n:,}" if n < 10**9 else f"{n:.1e}" if n < 10**300 else f"10^{len(str(n)) - 1}"
        return count + (" discrete candidates, times its real-valued settings" if self.continuous else " candidates")


def size(node: Any) -> Size:
    """Count the candidates of a tree. A Float without a step counts once and makes the size continuous."""
    count, continuous = _count(node)
    return Size(count, continuous)


def _count(node: Any) -> tuple[int, bool]:
    if isinstance(node, Int):
        return len(node.values()), False
    if isinstance(node, Float):
        return (len(node.values()), False) if node.step else (1, node.lo < node.hi)
    if isinstance(node, Choice):
        counts = [_count(option) for option in node.options]
        return sum(n for n, _ in counts), any(c for _, c in counts)
    if isinstance(node, Repeat):
        one, continuous = _count(node.template)
        times = node.times.values() if isinstance(node.times, Int) else [node.times]
        return sum(one**t for t in times), continuous
    if isinstance(node, Mix):
        parts = [_count(node.weighted(part)) for part in node.parts]
        return math.prod(1 + n for n, _ in parts), any(c for _, c in parts)
    items = node if isinstance(node, tuple | list) else [value for _, value in field_values(node)]
    counts = [_count(item) for item in items]
    return math.prod(n for n, _ in counts), any(c for _, c in counts)
