"""Types, options and settings that the commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nas.pool.devices import pick_device
from nas.sizes import parse_size
from nas.times import parse_seconds

__all__ = ["CONTEXT", "ImageSize", "Names", "Seconds", "device_option", "pick_device", "space_option"]

CONTEXT = {"max_content_width": 80, "help_option_names": ["-h", "--help"]}
"""Context settings of every command."""


class Seconds(click.ParamType):
    """A time such as 90s, 45m or 2h. A bare number other than 0 is ambiguous and refused."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return parse_seconds(value)


class ImageSize(click.ParamType):
    """Height x width such as 96x128, or one number for a square."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        return parse_size(value)


class Names(click.ParamType):
    """Names separated by commas, such as miou,params."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else tuple(value)


device_option = click.option("--device", help="cpu or cuda; by default cuda where there is one.")
space_option = click.option(
    "--space", type=click.Path(path_type=Path), help="The space file, if it defines components of its own."
)
