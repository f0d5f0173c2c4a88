"""A tiny synthetic data set, for trainings that take a second."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest


def make_split(count: int, classes: int, size: tuple[int, int], seed: int, labelled: bool = True) -> Any:
    """Images in which each class has a colour, with noise and a void column."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, (count, size[0] // 8, size[1] // 8))
    masks = coarse.repeat(8, 1).repeat(8, 2).astype(np.uint8)
    colours = np.random.default_rng(0).integers(0, 255, (classes, 3))
    images = np.clip(colours[masks] + rng.normal(0, 25, (*masks.shape, 3)), 0, 255).astype(np.uint8)
    masks[:, :, 0] = 255
    return SimpleNamespace(images=images, masks=masks if labelled else None)


@pytest.fixture(scope="session")
def data() -> Any:
    size, classes = (24, 32), 3
    return SimpleNamespace(
        name="tiny",
        classes=tuple("abc"),
        palette=((0, 0, 0), (9, 9, 9), (99, 99, 99)),
        size=size,
        labelled=make_split(5, classes, size, 1),
        unlabelled=make_split(7, classes, size, 2, labelled=False),
        validation=make_split(6, classes, size, 3),
        test=make_split(6, classes, size, 4),
        shifted=False,
    )
