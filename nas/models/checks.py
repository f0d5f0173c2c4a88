"""Checks of a component's fields. They run when it is built, because a field may hold a domain before."""

from __future__ import annotations

from collections.abc import Sequence

from nas.errors import UserError

__all__ = ["at_least", "one_of"]


def one_of(where: str, value: object, options: Sequence[object]) -> None:
    """Raise UserError unless `value` is among `options`; `where` names the field."""
    if value not in options:
        raise UserError(f"{where} is {value!r}: use one of {', '.join(map(repr, options))}")


def at_least(where: str, value: float, least: float) -> None:
    """Raise UserError unless `value` is a number of at least `least`; `where` names the field."""
    if not isinstance(value, (int, float)) or value < least:
        raise UserError(f"{where} is {value!r}: use a number of at least {least}")
