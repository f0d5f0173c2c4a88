"""Sizes of images as people write them: one parser for the command line and Python."""

from __future__ import annotations

import re
from typing import Any

from nas.errors import UserError

__all__ = ["parse_size"]

LEAST = 8
"""Pixels each way below which no network of a search fits."""


def parse_size(size: Any) -> tuple[int, int]:
    """Height and width in pixels from 128 or "128" (a square), "96x128", (96, 128) or [96, 128].

    Raises:
        UserError: anything else, or fewer than 8 pixels each way.
    """
    found = _whole_numbers(size)
    if found is None or len(found) not in (1, 2):
        raise UserError(f"--size: {size!r} is not a size: write height x width such as 96x128, or 128 for a square")
    height, width = found[0], found[-1]
    if min(height, width) < LEAST:
        raise UserError(f"--size {height}x{width}: give {LEAST} pixels or more each way")
    return height, width


def _whole_numbers(size: Any) -> list[int] | None:
    if isinstance(size, str):
        parts: list[Any] = re.split(r"\s*[xX\u00d7]\s*", size.strip())
        return [int(part) for part in parts] if all(re.fullmatch(r"[0-9]+", part) for part in parts) else None
    parts = list(size) if isinstance(size, tuple | list) or getattr(size, "ndim", 0) == 1 else [size]
    # NumPy's whole numbers have __index__ too, and True is none.
    if not all(hasattr(part, "__index__") and not isinstance(part, bool) for part in parts):
        return None
    return [part.__index__() for part in parts]
