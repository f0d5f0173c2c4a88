"""Fixtures of all tests. One math thread and less garbage collection make small computations quick."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import scipy.linalg  # noqa: F401 - its BLAS must be loaded when the threads are limited
import torch
from threadpoolctl import threadpool_limits

from tests.shell import SMALL, Shell
from tests.torchvision_operators import sitecustomize  # noqa: F401 - before anything imports torchvision

# More threads wait for each other: on a busy machine a sampler took ten times as long.
threadpool_limits(1)
torch.set_num_threads(1)

MANY_MODULES = 100
_modules_frozen = 0


def pytest_runtest_setup() -> None:
    """Exclude loaded modules from garbage collection, with which every training begins."""
    global _modules_frozen
    if len(sys.modules) > _modules_frozen + MANY_MODULES:
        _modules_frozen = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def shell_in() -> Callable[[Path], Shell]:
    def make(folder: Path) -> Shell:
        space = folder / "small.py"
        space.write_text(SMALL)
        return Shell(folder, space)

    return make


@pytest.fixture
def shell(tmp_path: Path, shell_in: Callable[[Path], Shell]) -> Shell:
    return shell_in(tmp_path)
