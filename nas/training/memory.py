"""Peak memory of a stretch of work, on a GPU or in this process."""

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
"""MB that were resident when the first stretch of this process began, and when the present one did."""


def reset_peak(device: torch.device) -> None:
    """Start a new stretch."""
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]  # until then its allocator knows of no device
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR.exists():
        _give_back()
        try:
            _CLEAR.write_text("5")
        except OSError:  # a container may forbid it; the peak is then that of the process's life
            return
        now = _status("VmRSS")
        _resident[:] = [_resident[0] if _resident else now, now]


def peak_megabytes(device: torch.device) -> float:
    """The largest memory since `reset_peak`, in MB: allocated on the GPU, or resident in this process.

    What a process keeps of earlier stretches does not count, so that it does not matter when something is measured.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if _STATUS.exists():
        first, now = _resident or (0.0, 0.0)
        return _status("VmHWM") - (now - first)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _status(name: str) -> float:
    """A line of Linux's account of this process, in MB."""
    line = next(x for x in _STATUS.read_text().splitlines() if x.startswith(name))
    return int(line.split()[1]) * 1024 / 1e6


def _give_back() -> None:
    """Return to the system what earlier work has freed."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim:
        trim(0)
