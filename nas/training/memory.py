"""Peak memory of a block of code, on the GPU or in this process."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from pathlib import Path

import torch

__all__ = ["peak_megabytes", "reset_peak"]

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")

_resident: list[float] = []
"""Resident MB at the first `reset_peak` of this process and at the latest one."""


def reset_peak(device: torch.device) -> None:
    """Start a new measurement."""
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]  # the allocator fails before
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR.exists():
        _trim_heap()
        try:
            _CLEAR.write_text("5")
        except OSError:  # a container may forbid it; the peak then covers the whole life of the process
            return
        now = _status("VmRSS")
        _resident[:] = [_resident[0] if _resident else now, now]


def peak_megabytes(device: torch.device) -> float:
    """Return the peak since `reset_peak` in MB: allocated on the GPU, or resident in this process.

    Memory that the process still holds from earlier measurements does not count, so that their order has no effect.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if _STATUS.exists():
        first, now = _resident or (0.0, 0.0)
        return _status("VmHWM") - (now - first)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _status(name: str) -> float:
    """Read a field of /proc/self/status in MB."""
    line = next(x for x in _STATUS.read_text().splitlines() if x.startswith(name))
    return int(line.split()[1]) * 1024 / 1e6


def _trim_heap() -> None:
    """Return freed memory to the system."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim:
        trim(0)
