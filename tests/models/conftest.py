"""Fixtures of the models' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def repeatable() -> Iterator[None]:
    """The same random numbers in every run, whatever order the tests are in."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
