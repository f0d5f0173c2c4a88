"""Image sizes on the command line: height x width, such as 96x128."""

from __future__ import annotations

import argparse
import re

__all__ = ["height_and_width", "size"]


def size(text: str) -> str:
    """Check that an argument is a size HxW."""
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: write height x width, such as 96x128")
    return text


def height_and_width(size: str) -> tuple[int, int]:
    """Convert a size HxW to numbers."""
    height, width = size.split("x")
    return int(height), int(width)
