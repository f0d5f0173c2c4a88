"""Which GPUs there are, found out without starting CUDA in the controller."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

__all__ = ["cpu_count", "visible_gpus"]

_DEVICE = re.compile(r"\d+|(GPU|MIG)-.+")


def visible_gpus() -> list[str]:
    """The GPUs this process may use, each as a value for CUDA_VISIBLE_DEVICES; empty without any.

    CUDA_VISIBLE_DEVICES decides where it is set (indices, GPU or MIG identifiers; what follows
    anything else, such as "-1" or Slurm's "NoDevFiles", does not count, as in CUDA), otherwise `nvidia-smi`
    is asked: a card that is cut into MIG devices counts as those. Where that tool is not there or finds none, as with
    AMD's cards or in a bare container, it is torch that counts. Where neither finds a card, a variable left over from
    another machine does no harm.
    """
    there = _listed() or _counted_by_torch()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None or not there:
        return there
    names = [name.strip() for name in chosen.split(",")]
    end = next((i for i, name in enumerate(names) if not _DEVICE.fullmatch(name)), len(names))
    return names[:end]


def _counted_by_torch() -> list[str]:
    """The numbers of the cards that torch sees: it asks the driver's library and starts nothing on a card."""
    import torch  # takes seconds, which a machine with nvidia-smi is spared

    return [str(number) for number in range(torch.cuda.device_count())]


def _listed() -> list[str]:
    """The devices of `nvidia-smi -L`: a line a card, each followed by its MIG devices."""
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
    """The CPU cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
