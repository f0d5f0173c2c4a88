"""Detection of GPUs and CPU cores, without initializing CUDA in the controller."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from nas.errors import UserError

if TYPE_CHECKING:
    import torch

__all__ = ["cpu_count", "pick_device", "visible_gpus"]

_DEVICE = re.compile(r"\d+|(GPU|MIG)-.+")


def visible_gpus() -> list[str]:
    """List the GPUs that this process may use, each as a value for CUDA_VISIBLE_DEVICES.

    GPUs are found by `nvidia-smi`, which lists MIG devices separately, or else by torch (AMD cards, bare containers).
    If there are any, a CUDA_VISIBLE_DEVICES that is set replaces the list: indices, GPU or MIG identifiers, up to the
    first entry of another kind such as "-1" or Slurm's "NoDevFiles", as in CUDA. On a machine without GPUs the
    variable is ignored.
    """
    found = _listed_by_nvidia_smi() or _counted_by_torch()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or not found:
        return found
    names = [name.strip() for name in chosen.split(",")]
    end = next((i for i, name in enumerate(names) if not _DEVICE.fullmatch(name)), len(names))
    return names[:end]


def _counted_by_torch() -> list[str]:
    """List the indices of the GPUs that torch sees. Counting them does not initialize CUDA."""
    import torch  # here, because it takes seconds and is not needed with nvidia-smi

    return [str(number) for number in range(torch.cuda.device_count())]


def _listed_by_nvidia_smi() -> list[str]:
    """List the devices of `nvidia-smi -L`, which prints a line per card, each followed by its MIG devices."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return []
    try:
        listing = subprocess.run([smi, "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    cards: list[list[str]] = []
    for line in listing.splitlines():
        if line.startswith("GPU "):
            cards.append([])
        elif cards and (mig := re.search(r"UUID: (MIG-[^)]+)", line)):
            cards[-1].append(mig[1])
    return [device for number, parts in enumerate(cards) for device in parts or [str(number)]]


def cpu_count() -> int:
    """Count the CPU cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pick_device(name: str | None) -> torch.device:
    """Return the device of that name; for None, the GPU if there is one.

    Raises:
        UserError: there is no such device.
    """
    import torch

    gpu = torch.cuda.is_available()
    try:
        device = torch.device(name or ("cuda" if gpu else "cpu"))
    except RuntimeError:
        raise UserError(f"device {name!r} is unknown: use cpu or cuda") from None
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and not gpu):
        raise UserError(f"device {name}: there is no such device here: use cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {name}: there are {torch.cuda.device_count()} GPUs here, counted from 0")
    return device
