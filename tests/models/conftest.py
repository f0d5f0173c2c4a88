"""Fixtures of the models' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def repeatable() -> Iterator[None]:
    """Seed torch before each test."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
