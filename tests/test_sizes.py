"""All ways to write a size, and one line for anything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nas.errors import UserError
from nas.runs.settings import settings_of
from nas.sizes import parse_size


@pytest.mark.parametrize(
    ("size", "pixels"),
    [
        *((square, (128, 128)) for square in (128, "128", " 128 ", "128x128", (128, 128), [128, 128], np.int64(128))),
        *((oblong, (96, 128)) for oblong in ("96x128", "96X128", "96\u00d7128", (96, 128), np.array((96, 128)))),
    ],
)
def test_a_size_may_be_written_in_any_way(size: Any, pixels: tuple[int, int]) -> None:
    assert parse_size(size) == pixels
    assert settings_of(space="small.py", size=size).size == pixels


@pytest.mark.parametrize(
    "size",
    [
        "",
        "big",
        b"96",
        "128x",
        "x128",
        "1x2x3",
        "-128",
        "12.5",
        128.0,
        True,
        None,
        (),
        (96, 128, 3),
        ("96", "128"),
        {96, 128},
    ],
)
def test_anything_else_is_refused_in_one_line(size: Any) -> None:
    with pytest.raises(UserError, match="is not a size: write height x width such as 96x128, or 128") as error:
        parse_size(size)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [7, "7", (128, 7), "0x128", -128])
def test_a_size_too_small_is_refused_in_one_line(size: Any) -> None:
    with pytest.raises(UserError, match="give 8 pixels or more each way"):
        parse_size(size)
