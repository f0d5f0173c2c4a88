"""A selection of rows of an array, without a copy of the pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Rows"]


class Rows:
    """Selected rows of an array, read from it when they are indexed.

    A fold leaves out a few of thousands of unlabelled images that all workers share. Indexing by NumPy would copy the
    others in each worker and for each fold.

    Args:
        array: N x ...
        places: indices of the selected rows, in order.
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
