"""Descriptions of a space: text for people, JSON, and NNI's format."""

from __future__ import annotations

from typing import Any

from nas.space.cached import cached_notes
from nas.space.candidate import candidate_hash
from nas.space.component import Component, field_values
from nas.space.domains import Choice, Domain, Float, Int, Mix, Repeat, label_of
from nas.space.recipe import Recipe
from nas.space.walk import check, components, size
from nas.wording import counted

__all__ = ["describe", "space_to_data", "space_to_nni"]


def describe(space: Recipe) -> str:
    """Describe a space as text: parameters with domains and conditions, fixed fields, size and baselines."""
    found = check(space)
    lines = ["Open:"] if found else ["Nothing is open: this is a single recipe."]
    for parameter in found:
        lines.append(f"  {parameter.path} = {_domain_text(parameter.domain)}")
        if parameter.conditions:
            lines.append(f"      if {' and '.join(parameter.conditions[-2:])}")
    lines.append("Fixed:")
    lines += [f"  {name} = {text(value)}" for name, value in field_values(space) if not _has_domain(value)]
    lines.append(
        f"Size: {size(space)}, {counted(len(found), 'parameter')}, {counted(len(space.constraints), 'constraint')}"
    )
    lines += [f"Cached features: {note}" for note in cached_notes(space)]
    kinds = sorted({type(part).__name__ for part in components(space) if getattr(part, "own_norm", False)})
    if kinds:
        lines.append(f"Norm: {' and '.join(kinds)} encoders keep their own; norm is the decoder's, and candidates that")
        lines[-1] += " differ in another encoder norm alone are tried once"
    lines.append(f"Baselines, tried first: {len(space.baselines) or 'none'}")
    lines += [
        f"  {space.baseline_name(i)}: {candidate_hash(b)}  {text(b.candidate())}" for i, b in enumerate(space.baselines)
    ]
    return "\n".join(_wrap(line) for line in lines)


def _wrap(line: str, width: int = 80) -> str:
    import textwrap

    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.fill(line, width, subsequent_indent=indent + "    ", break_long_words=False, break_on_hyphens=False)


def _domain_text(domain: Any) -> str:
    if not isinstance(domain, Choice):
        return str(domain)
    labels = " | ".join(str(label) for label in domain.labels)
    return labels if domain.prior is None else f"{labels}, prior {domain.prior}"


def text(value: Any) -> str:
    """Format a closed value on one line, such as `UNet(up=bilinear)`.

    Fields at their default are left out, except tuples of components such as an encoder's stages.
    """
    if isinstance(value, Component):
        defaults = {name: getattr(type(value), name, None) for name, _ in field_values(value)}
        shown = [f"{n}={text(v)}" for n, v in field_values(value) if v != defaults[n] or _is_structure(v)]
        return type(value).__name__ + (f"({', '.join(shown)})" if shown else "")
    if isinstance(value, tuple | list):
        return "(" + ", ".join(text(item) for item in value) + ")"
    return str(label_of(value))


def _is_structure(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(item, Component) for item in value)


def _has_domain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(map(_has_domain, value))
    return isinstance(value, Domain) or any(_has_domain(v) for _, v in field_values(value))


def space_to_data(node: Any) -> Any:
    """Convert a space to JSON-ready data: domains to `{"domain": ...}`, components to `{"type": ...}`."""
    if isinstance(node, Choice):
        options = dict(zip(map(str, node.labels), map(space_to_data, node.options), strict=True))
        return {"domain": "Choice", "options": options, **({} if node.prior is None else {"prior": node.prior})}
    if isinstance(node, Repeat):
        return {
            "domain": "Repeat",
            "times": space_to_data(node.times),
            "template": space_to_data(node.template),
        }
    if isinstance(node, Mix):
        parts = dict(zip(node.labels, map(space_to_data, node.parts), strict=True))
        return {"domain": "Mix", "parts": parts, "weight": space_to_data(node.weight)}
    if isinstance(node, Domain):
        kind = "Int" if isinstance(node, Int) else "Float"
        return {"domain": kind, **{k: v for k, v in vars(node).items() if v is not None}}
    if isinstance(node, tuple | list):
        return [space_to_data(item) for item in node]
    if isinstance(node, Component):
        return {"type": type(node).__name__, **{n: space_to_data(v) for n, v in field_values(node)}}
    return node


def space_to_nni(space: Recipe) -> dict[str, dict[str, Any]]:
    """Convert a space to NNI's search-space format, one entry per parameter path, JSON-ready.

    NNI has no conditional parameters: its tuners choose a value for every parameter. Candidates ignore the values of
    inactive ones.
    """
    return {parameter.path: _nni_domain(parameter.domain) for parameter in check(space)}


def _nni_domain(domain: Choice | Int | Float) -> dict[str, Any]:
    if isinstance(domain, Choice):
        return {"_type": "choice", "_value": list(domain.labels)}
    if domain.lo == domain.hi:
        return {"_type": "choice", "_value": [domain.lo]}
    kind = "loguniform" if domain.log else "uniform"
    if domain.step is None:
        return {"_type": kind, "_value": [domain.lo, domain.hi]}
    if domain.lo % domain.step:  # NNI counts steps from zero
        return {"_type": "choice", "_value": list(domain.values())}
    return {"_type": "q" + kind, "_value": [domain.lo, domain.hi, domain.step]}
