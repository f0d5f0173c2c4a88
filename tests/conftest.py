"""One math thread: what the tests compute is tiny, and threads would only wait for each other."""

from __future__ import annotations

import scipy.linalg  # noqa: F401 - its BLAS must be there when the threads are limited
import torch
from threadpoolctl import threadpool_limits

threadpool_limits(1)
torch.set_num_threads(1)
