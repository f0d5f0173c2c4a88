"""Checks of a component's fields, made when it is built: before that a field may hold a domain."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas.space.component import SpaceError
from nas.space.domains import is_number

__all__ = ["check_one_of", "check_range"]


def check_range(where: str, value: float, low: float, high: float = math.inf) -> None:
    """Raise SpaceError unless `value` is a number from `low` to `high`; `where` names the field."""
    if not is_number(value) or not low <= value <= high:
        wanted = f"of at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise SpaceError(f"{where} is {value!r}: use a number {wanted}")


def check_one_of(where: str, value: object, options: Sequence[object]) -> None:
    """Raise SpaceError unless `value` is among `options`; `where` names the field."""
    if value not in options:
        raise SpaceError(f"{where} is {value!r}: use one of {', '.join(map(repr, options))}")
