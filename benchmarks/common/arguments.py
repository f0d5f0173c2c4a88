"""Kinds of arguments that the benchmarks' command lines share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

__all__ = ["at_least", "pattern"]


def at_least(lowest: int) -> Callable[[str], int]:
    """A whole number of at least that, as argparse reads it."""

    def number(text: str) -> int:
        if int(text) < lowest:
            raise argparse.ArgumentTypeError(f"{text}: give {lowest} or more")
        return int(text)

    return number


def pattern(text: str) -> str:
    """A regular expression, as argparse reads it."""
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text} is no regular expression: {error}") from error
    return text
