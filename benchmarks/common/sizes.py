"""Sizes of images as they are written on a command line: height x width, such as 96x128."""

from __future__ import annotations

import argparse
import re

__all__ = ["height_and_width", "size"]


def size(text: str) -> str:
    """A size HxW as it is written: the type of an argument."""
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: write height x width, such as 96x128")
    return text


def height_and_width(size: str) -> tuple[int, int]:
    """The numbers of a size HxW."""
    height, width = size.split("x")
    return int(height), int(width)
