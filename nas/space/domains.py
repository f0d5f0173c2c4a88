"""Domains: a field of a recipe holds one instead of a value to leave it open to the search."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import MISSING, fields, replace
from typing import Any

from nas.space.component import Component, SpaceError, field_values

__all__ = ["Choice", "Domain", "Float", "Int", "Mix", "Repeat", "is_number", "join", "label_of", "values_of"]


def join(path: str, name: Any) -> str:
    """The path of a field, an item or an option below `path`."""
    return f"{path}.{name}" if path else str(name)


def label_of(option: Any) -> Any:
    """Label an option: a plain value is its own label, a component has its class name, anything else its repr."""
    if option is None or isinstance(option, bool | int | float | str):
        return option
    return type(option).__name__ if isinstance(option, Component) else repr(option)


def _detailed_label(option: Any) -> Any:
    """Label a component by the fields that differ from their defaults, to tell components of one class apart."""
    if not isinstance(option, Component):
        return label_of(option)
    defaults = {f.name: f.default for f in fields(option) if f.default is not MISSING}  # type: ignore[arg-type]
    shown = [f"{k}={label_of(v)}" for k, v in field_values(option) if v != defaults.get(k, MISSING)]
    return f"{type(option).__name__}({', '.join(shown)})"


def _labels(options: tuple[Any, ...]) -> tuple[Any, ...]:
    short = [label_of(option) for option in options]
    seen = Counter((type(s), s) for s in short)
    return tuple(s if seen[type(s), s] == 1 else _detailed_label(o) for s, o in zip(short, options, strict=True))


class Domain:
    """Base class of domains: the set of values that an open field may take."""

    def problem(self) -> str | None:
        """Say in a few words what makes the domain unusable; None for a usable one."""
        return None


class Choice(Domain):
    """One of several options: plain values, tuples, or components that may have open fields themselves.

    The search only sees the labels of the options, which must differ.

    Args:
        options: values to choose from.
        prior: the option believed to be best, or its label; None for no prior. See `SurrogateSampler`.
    """

    def __init__(self, *options: Any, prior: Any = None) -> None:
        self.options, self.labels = options, _labels(options)
        same = (label for label, known in zip(self.labels, options, strict=True) if _same(known, prior))
        self.prior = next(same, label_of(prior))

    def __repr__(self) -> str:
        return f"Choice({', '.join(str(label) for label in self.labels)}{_prior_text(self)})"

    def problem(self) -> str | None:
        if not self.options:
            return "is an empty Choice: give it at least one option"
        repeated = [label for label, n in Counter(map(repr, self.labels)).items() if n > 1]
        if repeated:
            return f"has two options called {repeated[0]}: make them differ"
        return _prior_problem(self)

    def holds(self, label: Any) -> bool:
        """Whether `label` is the label of an option."""
        return any(_same(known, label) for known in self.labels)

    def option(self, label: Any) -> Any:
        """The option with a label. Raises SpaceError if there is none."""
        for known, option in zip(self.labels, self.options, strict=True):
            if _same(known, label):
                return option
        raise SpaceError(f"{label!r} is not one of {', '.join(map(repr, self.labels))}")


def values_of(value: Any) -> tuple[Any, ...]:
    """The options of a choice, or the value of a field that is no choice."""
    return tuple(value.options) if isinstance(value, Choice) else (value,)


class Int(Domain):
    """An integer from `lo` to `hi`, both included.

    Args:
        lo: smallest value.
        hi: largest value.
        log: whether to sample on a log scale.
        step: distance of neighbouring values.
        prior: the value believed to be best; None for no prior. See `SurrogateSampler`.
    """

    def __init__(self, lo: int, hi: int, *, log: bool = False, step: int = 1, prior: int | None = None) -> None:
        self.lo, self.hi, self.log, self.step, self.prior = lo, hi, log, step, prior

    def __repr__(self) -> str:
        step = f", step={self.step}" if self.step != 1 else ""
        return f"Int({self.lo}, {self.hi}{step}{', log' if self.log else ''}{_prior_text(self)})"

    def problem(self) -> str | None:
        return _range_problem(self)

    def values(self) -> range:
        """Every value of the domain."""
        return range(self.lo, self.hi + 1, self.step)

    def holds(self, value: Any) -> bool:
        """Whether the domain contains a value."""
        return is_number(value) and float(value).is_integer() and int(value) in self.values()


class Float(Domain):
    """A float from `lo` to `hi`, both included.

    Args:
        lo: smallest value.
        hi: largest value.
        log: whether to sample on a log scale.
        step: distance of neighbouring values; None for a continuous domain.
        prior: the value believed to be best; None for no prior. See `SurrogateSampler`.
    """

    def __init__(
        self, lo: float, hi: float, *, log: bool = False, step: float | None = None, prior: float | None = None
    ) -> None:
        self.lo, self.hi, self.log, self.step, self.prior = lo, hi, log, step, prior

    def __repr__(self) -> str:
        step = f", step={self.step:g}" if self.step else ""
        return f"Float({self.lo:g}, {self.hi:g}{step}{', log' if self.log else ''}{_prior_text(self)})"

    def problem(self) -> str | None:
        return _range_problem(self)

    def values(self) -> list[float]:
        """Every value of a domain with a step. Raises SpaceError without one."""
        if not self.step:
            raise SpaceError(f"{self} is continuous and has no list of values: give it a step")
        return [self.lo + i * self.step for i in range(int((self.hi - self.lo) / self.step + 1e-9) + 1)]

    def holds(self, value: Any) -> bool:
        """Whether the domain contains a value, up to rounding where it has a step."""
        if not is_number(value) or not self.lo <= value <= self.hi:
            return False
        steps = (value - self.lo) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-6


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def is_number(value: Any) -> bool:
    """Whether a value is an int or a float; True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _range_problem(domain: Int | Float) -> str | None:
    lo, hi, step = domain.lo, domain.hi, domain.step
    kind = int if isinstance(domain, Int) else (int, float)
    if not all(is_number(x) and isinstance(x, kind) and math.isfinite(x) for x in (lo, hi)):
        return f"has bounds {lo!r} and {hi!r}: give two finite {'integers' if kind is int else 'numbers'}"
    if lo > hi:
        return f"has lo > hi ({lo} > {hi}): swap them"
    if domain.log and lo <= 0:
        return f"is a log domain from {lo}: let it start above 0"
    if step is not None and step <= 0:
        return f"has a step of {step}: give a positive step"
    if domain.log and step not in (None, 1):
        return "has both log and step: choose one"
    return _prior_problem(domain)


def _prior_text(domain: Choice | Int | Float) -> str:
    return "" if domain.prior is None else f", prior={domain.prior}"


def _prior_problem(domain: Choice | Int | Float) -> str | None:
    if domain.prior is None or domain.holds(domain.prior):
        return None
    return f"has a prior of {domain.prior!r}, which is not one of its values: give one that is"


class Repeat(Domain):
    """A tuple of `times` copies of a template, such as an encoder's stages; each copy has parameters of its own."""

    def __init__(self, template: Any, times: int | Int) -> None:
        self.template, self.times = template, times

    def __repr__(self) -> str:
        return f"Repeat({self.template}, times={self.times})"

    def problem(self) -> str | None:
        lowest = self.times.lo if isinstance(self.times, Int) else self.times
        if not isinstance(lowest, int) or isinstance(lowest, bool) or lowest < 0:
            return f"repeats {self.times!r} times: give a whole number of at least 0, or an Int"
        return None

    @property
    def most(self) -> int:
        """The largest number of copies."""
        return self.times.hi if isinstance(self.times, Int) else self.times


class Mix(Domain):
    """Any subset of some components, such as pretext tasks, each with a weight.

    `weight` is a value or a domain for the `weight` field of each chosen component; None keeps the components' own
    weights.
    """

    def __init__(self, *parts: Component, weight: Any = "default") -> None:
        self.parts = parts
        self.weight = Float(0.05, 1.0, log=True) if weight == "default" else weight
        self.labels = tuple(str(label) for label in _labels(parts))

    def weighted(self, part: Component) -> Component:
        """The part with the weight, or with the weight's domain."""
        return part if self.weight is None else replace(part, weight=self.weight)  # type: ignore[type-var]

    def __repr__(self) -> str:
        return f"Mix({', '.join(self.labels)})"

    def problem(self) -> str | None:
        if not self.parts:
            return "is an empty Mix: give it at least one part"
        other = [part for part in self.parts if not isinstance(part, Component)]
        if other:
            return f"is a Mix of {other[0]!r}: give components, such as Jigsaw()"
        repeated = [label for label, n in Counter(self.labels).items() if n > 1]
        if repeated:
            return f"has two parts called {repeated[0]}: make them differ"
        return None
