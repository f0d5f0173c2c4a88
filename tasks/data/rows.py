"""Some images of an array, without a copy of their pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Rows"]


class Rows:
    """Rows of an array, which are looked up there when they are indexed.

    A fold leaves a few out of thousands of unlabelled images that all workers share; an index into the array by NumPy
    would copy the others, for each fold and in each worker.

    Args:
        array: N x ...
        places: which of the N, in order.
    """

    def __init__(self, array: np.ndarray, places: np.ndarray) -> None:
        self.array, self.places = array, places

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.places), *self.array.shape[1:])

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * self.array.itemsize

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, chosen: Any) -> np.ndarray:
        rows: np.ndarray = self.array[self.places[chosen]]
        return rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.array[self.places], dtype)
