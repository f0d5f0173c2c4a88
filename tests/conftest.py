"""One math thread: the networks of the tests are tiny, and threads would only wait for each other."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
