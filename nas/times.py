"""Parser of durations such as 90s, 45m and 2h."""

from __future__ import annotations

import re

from nas.errors import UserError

__all__ = ["parse_seconds"]

_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_seconds(value: object) -> float:
    """Parse a duration such as "90s", "45m" or "2h" into seconds. A number is seconds already.

    Raises:
        UserError: `value` is no duration. Text without a unit is ambiguous and refused too, except "0".
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip()
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", "0s" if text == "0" else text)
    if not found:
        raise UserError(f"{value!r} is not a time: write 90s, 45m or 2h")
    return float(found[1]) * _UNITS[found[2]]
