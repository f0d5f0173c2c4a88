"""Find a closed recipe in a space: the genes that close the space to it."""

from __future__ import annotations

from typing import Any

from nas.space.choosers import Genes
from nas.space.component import Component, field_values
from nas.space.domains import Choice, Domain, Float, Int, Mix, Repeat, join

__all__ = ["locate"]


def locate(node: Any, value: Any, path: str = "") -> Genes | None:
    """The genes that close `node` to `value`, or None if the space does not contain it."""
    if isinstance(node, Domain):
        return _in_domain(node, value, path)
    if isinstance(node, Component):
        if type(node) is not type(value):
            return None
        inner = dict(field_values(value))
        return _all([locate(v, inner[name], join(path, name)) for name, v in field_values(node)])
    if isinstance(node, tuple | list):
        if not isinstance(value, tuple | list) or len(node) != len(value):
            return None
        return _all([locate(a, b, join(path, i)) for i, (a, b) in enumerate(zip(node, value, strict=True))])
    return {} if node == value and isinstance(node, bool) == isinstance(value, bool) else None


def _in_domain(domain: Domain, value: Any, path: str) -> Genes | None:
    if isinstance(domain, Choice):
        for label, option in zip(domain.labels, domain.options, strict=True):
            genes = locate(option, value, join(path, label))
            if genes is not None:
                return {path: label, **genes}
        return None
    if isinstance(domain, Repeat):
        if not isinstance(value, tuple | list):
            return None
        times = locate(domain.times, len(value), join(path, "times"))
        return _all([times, *(locate(domain.template, v, join(path, i)) for i, v in enumerate(value))])
    if isinstance(domain, Mix):
        return _in_mix(domain, value, path)
    assert isinstance(domain, Int | Float)
    return {path: value} if domain.holds(value) else None


def _in_mix(mix: Mix, value: Any, path: str) -> Genes | None:
    remaining = list(value)
    genes: Genes = {}
    for label, part in zip(mix.labels, mix.parts, strict=True):
        at = join(path, label)
        genes[at] = False
        for item in remaining:
            inner = locate(mix.weighted(part), item, at)
            if inner is not None:
                remaining.remove(item)
                genes |= {at: True, **inner}
                break
    return None if remaining else genes


def _all(parts: list[Genes | None]) -> Genes | None:
    genes: Genes = {}
    for part in parts:
        if part is None:
            return None
        genes |= part
    return genes
