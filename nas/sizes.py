"""Parser of image sizes, for the command line and Python."""

from __future__ import annotations

import re
from typing import Any

from nas.errors import UserError

__all__ = ["parse_size"]

MIN_SIDE = 8
"""Pixels per side that every network of a search needs."""


def parse_size(size: Any) -> tuple[int, int]:
    """Parse 128 or "128" (a square), "96x128", (96, 128) or [96, 128] into height and width in pixels.

    Raises:
        UserError: `size` is anything else, or a side has fewer than 8 pixels.
    """
    found = _integers(size)
    if found is None or len(found) not in (1, 2):
        raise UserError(f"--size: {size!r} is not a size: write height x width such as 96x128, or 128 for a square")
    height, width = found[0], found[-1]
    if min(height, width) < MIN_SIDE:
        raise UserError(f"--size {height}x{width}: give {MIN_SIDE} pixels or more each way")
    return height, width


def _integers(size: Any) -> list[int] | None:
    if isinstance(size, str):
        parts: list[Any] = re.split(r"\s*[xX\u00d7]\s*", size.strip())
        return [int(part) for part in parts] if all(re.fullmatch(r"[0-9]+", part) for part in parts) else None
    parts = list(size) if isinstance(size, tuple | list) or getattr(size, "ndim", 0) == 1 else [size]
    # NumPy's integers have __index__ too; so has True, which is no size.
    if not all(hasattr(part, "__index__") and not isinstance(part, bool) for part in parts):
        return None
    return [part.__index__() for part in parts]
