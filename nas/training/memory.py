"""Peak memory of a stretch of work, on a GPU or in this process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

__all__ = ["peak_megabytes", "reset_peak"]

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def reset_peak(device: torch.device) -> None:
    """Start a new stretch."""
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]  # until then its allocator knows of no device
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR.exists():
        try:
            _CLEAR.write_text("5")
        except OSError:  # a container may forbid it; the peak is then that of the process's life
            return


def peak_megabytes(device: torch.device) -> float:
    """The largest memory since `reset_peak`, in MB: allocated on the GPU, or resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if _STATUS.exists():
        line = next(x for x in _STATUS.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
