"""Provenance of a result: machine, device, versions, date and commit, as columns of every table."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

__all__ = ["RESULTS", "default_device", "provenance"]

RESULTS = Path(__file__).parents[1] / "results"


def default_device() -> str:
    """Return the device that benchmarks train on, as recorded by `provenance`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def provenance(*packages: str) -> dict[str, str]:
    """Return machine, device, versions of Python and the packages, date and commit."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {os.cpu_count()} cores"
    versions = [f"{name} {metadata.version(name)}" for name in packages]
    return {
        "machine": platform.machine(),
        "device": device,
        "versions": ", ".join([f"python {platform.python_version()}", *versions]),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "commit": _commit(),
    }


def _commit() -> str:
    """Return the short hash of the current commit, marked if files have changed since."""
    here = Path(__file__).parent
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True)
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=here, capture_output=True)
    return (head.stdout.strip() or "unknown") + ("+changes" if changed.returncode else "")
