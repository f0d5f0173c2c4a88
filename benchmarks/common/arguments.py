"""Argument types of the benchmarks' command lines."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

__all__ = ["at_least", "regex"]


def at_least(minimum: int) -> Callable[[str], int]:
    """Create an argument type for integers with a minimum."""

    def number(text: str) -> int:
        if int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text}: give {minimum} or more")
        return int(text)

    return number


def regex(text: str) -> str:
    """Check that an argument is a regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text} is not a regular expression: {error}") from error
    return text
